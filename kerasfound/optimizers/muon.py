"""Muon: a weight matrix moves equally far in all directions."""

import re

import keras
from keras import ops

from .adam import Adam


@keras.saving.register_keras_serializable(package="kerasfound")
class Muon(Adam):
    r"""Orthogonalized momentum for matrices, `AdamW` for all other weights.

    With gradient $G_t$ of a weight matrix $W_t$ of shape $p \times q$, $\alpha$ = `learning_rate`,
    $\mu$ = `momentum`, $\lambda$ = `weight_decay`, $r$ = `rms_rate`:

    $$M_t = \mu M_{t-1} + G_t$$
    $$O_t = \mathrm{orthogonal}(G_t + \mu M_t)$$
    $$W_t = (1 - \alpha \lambda)\, W_{t-1} - \alpha\, r \sqrt{\max(p, q)}\; O_t$$

    If $U S V^\top$ is the singular value decomposition of a matrix, $U V^\top$ is the nearest orthogonal one: the same
    directions, all of the same length. The Newton-Schulz iteration computes it with matrix products only, in `ns_steps`
    steps with $a, b, c$ = `muon_a`, `muon_b`, `muon_c`, from $X = G / \lVert G \rVert$:

    $$A = X X^\top \qquad X \leftarrow a X + (b A + c A^2) X$$

    which maps a singular value $s$ to $a s + b s^3 + c s^5$; after five steps all but the tiniest are in 0.7 .. 1.2.
    Gradients of matrices are nearly of low rank, and so are the steps of Adam; Muon also moves in rare directions.

    Args:
        learning_rate: a float, or a `keras.optimizers.schedules.LearningRateSchedule`. Defaults to `0.001`.
        adam_beta_1: Adam's decay of the mean, in [0, 1). Defaults to `0.9`.
        adam_beta_2: Adam's decay of the mean square, in [0, 1). Defaults to `0.999`.
        adam_weight_decay: weight decay of the weights that Adam updates, or None. Defaults to `0.004`.
        epsilon: added to Adam's root, above 0. Defaults to `1e-7`.
        weight_decay: weight decay of the matrices, or None. Defaults to `0.004`.
        exclude_layers: regular expressions; Adam updates a matrix whose path matches one. Defaults to `None`.
        exclude_embeddings: whether Adam updates matrices with "embedding" in their path. Defaults to `True`.
        muon_a: coefficient of $s$. Defaults to `3.4445`.
        muon_b: coefficient of $s^3$. Defaults to `-4.775`.
        muon_c: coefficient of $s^5$. Defaults to `2.0315`.
        adam_lr_ratio: Adam's learning rate over `learning_rate`. Defaults to `1`.
        momentum: share of the momentum that is kept, in [0, 1]. Defaults to `0.95`.
        ns_steps: steps of Newton-Schulz, at least 1. Defaults to `5`.
        nesterov: use $G_t + \mu M_t$ as above instead of $M_t$. Defaults to `True`.
        rms_rate: root mean square of a step, divided by the learning rate (for Adam about 0.2); None for $\alpha O_t$
            without the factor. Defaults to `0.2`.
        **kwargs: arguments of every Keras optimizer (`clipnorm`, `use_ema`, ...).

    Raises:
        ValueError: if a beta is outside [0, 1), `momentum` outside [0, 1], `epsilon` not above 0, or `ns_steps` not a
            whole number of at least 1.

    Example:
        >>> w = keras.Variable([[0.0, 0.0], [0.0, 0.0]])
        >>> muon = Muon(learning_rate=0.1, rms_rate=None, weight_decay=None)
        >>> muon.apply([ops.convert_to_tensor([[100.0, 0.0], [0.0, 1.0]])], [w])  # 100 to 1 in the gradient
        >>> [round(float(w.value[i][i]), 2) for i in range(2)]  # nearly equal in the step
        [-0.07, -0.07]

    In practice: put the output layer into `exclude_layers`; the theory is for hidden matrices. Convolution kernels do
    not count as matrices: Adam updates them, as in Keras. Each step costs `ns_steps` * 3 matrix products, which is
    little on a GPU with large batches and much on a CPU with small ones.

    Source: Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024;
    `rms_rate`: Liu et al., "Muon is Scalable for LLM Training", 2025.
    """

    def __init__(
        self,
        learning_rate=0.001,
        adam_beta_1=0.9,
        adam_beta_2=0.999,
        adam_weight_decay=0.004,
        epsilon=1e-7,
        weight_decay=0.004,
        *,
        exclude_layers=None,
        exclude_embeddings=True,
        muon_a=3.4445,
        muon_b=-4.7750,
        muon_c=2.0315,
        adam_lr_ratio=1,
        momentum=0.95,
        ns_steps=5,
        nesterov=True,
        rms_rate=0.2,
        **kwargs,
    ):
        for argument, value in (("adam_beta_1", adam_beta_1), ("adam_beta_2", adam_beta_2)):
            if not isinstance(value, int | float) or not 0 <= value < 1:
                raise ValueError(f"`{argument}` must be a number in [0, 1), got {value!r}.")
        if not isinstance(momentum, int | float) or not 0 <= momentum <= 1:
            raise ValueError(f"`momentum` must be a number in [0, 1], got {momentum!r}.")
        if not isinstance(ns_steps, int) or ns_steps < 1:
            raise ValueError(f"`ns_steps` must be a whole number of at least 1, got {ns_steps!r}.")
        super().__init__(learning_rate, adam_beta_1, adam_beta_2, epsilon, weight_decay=weight_decay, **kwargs)
        self.adam_weight_decay = adam_weight_decay
        self.exclude_layers = exclude_layers or []
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def build(self, variables):
        if self.built:
            return
        keras.optimizers.Optimizer.build(self, variables)
        self.mean, self.mean_square = [], []  # `mean` is Muon's M or Adam's m; a matrix has no mean square
        for variable in variables:
            uses_adam = self._is_for_adam(variable)
            self.mean.append(self.add_variable_from_reference(variable, "mean"))
            self.mean_square.append(self.add_variable_from_reference(variable, "mean_square") if uses_adam else None)

    def _is_for_adam(self, variable):
        excluded = [*self.exclude_layers, *(["(?i)embedding"] if self.exclude_embeddings else [])]
        return len(variable.shape) != 2 or any(re.search(expression, variable.path) for expression in excluded)

    def update_step(self, gradient, variable, learning_rate):
        i, alpha, mu = self._get_variable_index(variable), ops.cast(learning_rate, variable.dtype), self.momentum
        uses_adam = self.mean_square[i] is not None
        decay = self.adam_weight_decay if uses_adam else self.weight_decay
        if decay is not None and self._use_weight_decay(variable):
            self.assign_sub(variable, alpha * decay * variable)
        if uses_adam:
            super().update_step(gradient, variable, learning_rate * self.adam_lr_ratio)
            return
        M, G = self.mean[i], ops.reshape(ops.cast(gradient, variable.dtype), variable.shape)

        self.assign(M, mu * M + G)
        O = self.orthogonal(G + mu * M if self.nesterov else ops.convert_to_tensor(M))
        scale = 1.0 if self.rms_rate is None else self.rms_rate * max(variable.shape) ** 0.5
        self.assign_sub(variable, alpha * scale * O)

    def orthogonal(self, G):
        """Approximate the orthogonal matrix nearest to `G`."""
        a, b, c = self.muon_a, self.muon_b, self.muon_c
        is_tall = G.shape[0] > G.shape[1]
        X = ops.transpose(G) if is_tall else G  # then A is the smaller of the two products
        X = X / (ops.norm(X) + 1e-7)
        for _ in range(self.ns_steps):
            A = X @ ops.transpose(X)
            X = a * X + (b * A + c * A @ A) @ X
        return ops.transpose(X) if is_tall else X

    def _apply_weight_decay(self, variables):
        """Do nothing: `update_step` decays, since matrices and other weights have different rates."""

    def get_config(self):
        return keras.optimizers.Optimizer.get_config(self) | {
            "adam_beta_1": self.beta_1,
            "adam_beta_2": self.beta_2,
            "adam_weight_decay": self.adam_weight_decay,
            "epsilon": self.epsilon,
            "exclude_layers": list(self.exclude_layers),
            "exclude_embeddings": self.exclude_embeddings,
            "muon_a": self.muon_a,
            "muon_b": self.muon_b,
            "muon_c": self.muon_c,
            "adam_lr_ratio": self.adam_lr_ratio,
            "momentum": self.momentum,
            "ns_steps": self.ns_steps,
            "nesterov": self.nesterov,
            "rms_rate": self.rms_rate,
        }
