"""Networks with memory: one cell applied at every time step, forward, backward or both.

The cells contain the equations. The layers that run them over time are Keras's, with our cell inside:
masks, states, dropout, unknown lengths and cuDNN's kernel on a GPU are Keras's own.
"""

import numbers

import keras
from keras import ops


def _check(units, dropout=0.0, recurrent_dropout=0.0, **_):
    if not isinstance(units, numbers.Integral) or units < 1:
        raise ValueError(f"`units` must be an integer of at least 1, got {units!r}.")
    for argument, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
        if not isinstance(rate, numbers.Real) or not 0 <= float(rate) <= 1:
            raise ValueError(f"`{argument}` must be a number in [0, 1], got {rate!r}.")


@keras.saving.register_keras_serializable(package="kerasfound")
class SimpleRNNCell(keras.layers.SimpleRNNCell):
    r"""One time step of a plain recurrent network.

    With input $x_t$, hidden state $h_{t-1}$, weights $W$ = `kernel`, $U$ = `recurrent_kernel`, $b$ = `bias`
    and $\phi$ = `activation`:

    $$h_t = \phi(W x_t + U h_{t-1} + b)$$

    The same weights act at every step: a pattern learned at one position in time applies to all positions.

    Derivative: $\partial h_t / \partial h_{t-1} = \mathrm{diag}(\phi'(\cdot))\, U$. Over $k$ steps it is a product of
        $k$ such matrices, which shrinks or grows exponentially: vanishing and exploding gradients.

    Shapes: $x_t$ `(batch, features)`; $h_t$ `(batch, units)`; $W$ `(features, units)`; $U$ `(units, units)`.

    Args:
        units: size of the hidden state, at least 1.
        **kwargs: as for `keras.layers.SimpleRNNCell`: `activation` (defaults to `"tanh"`), `use_bias` (`True`),
            `dropout` and `recurrent_dropout` (`0.0`), initializers, regularizers, constraints, `seed`.

    Raises:
        ValueError: if `units` is below 1 or a dropout rate is outside [0, 1].

    Example:
        >>> cell = SimpleRNNCell(1, kernel_initializer="ones", recurrent_initializer="ones")
        >>> h, _ = cell(ops.ones((1, 1)), [ops.zeros((1, 1))])
        >>> round(float(h[0, 0]), 4)  # tanh(1)
        0.7616

    In practice: it forgets within about ten steps. Use `LSTMCell` or `GRUCell` for longer sequences; clip gradients.

    Source: Elman, "Finding Structure in Time", 1990.
    """

    def __init__(self, units, *args, **kwargs):
        _check(units, **kwargs)
        super().__init__(units, *args, **kwargs)

    def call(self, sequence, states, training=False):
        x, h = sequence, states[0] if isinstance(states, (list, tuple)) else states
        if training and self.dropout:
            x = x * self.get_dropout_mask(x)
        if training and self.recurrent_dropout:
            h = h * self.get_recurrent_dropout_mask(h)

        z = x @ self.kernel + h @ self.recurrent_kernel
        # `ops.add` instead of `+`: on TensorFlow it recognizes a bias by its shape, and its gradient is faster
        h = self.activation(ops.add(z, self.bias) if self.use_bias else z)
        return h, [h] if isinstance(states, (list, tuple)) else h


@keras.saving.register_keras_serializable(package="kerasfound")
class LSTMCell(keras.layers.LSTMCell):
    r"""One time step of a long short-term memory.

    With input $x_t$, hidden state $h_{t-1}$, cell state $c_{t-1}$, elementwise product $\odot$, $\sigma$ =
    `recurrent_activation`, $\tanh$ = `activation`; $W$, $U$, $b$ are the four gates' parts of `kernel`,
    `recurrent_kernel`, `bias`, concatenated in the order i, f, c, o:

    $$i, f, o = \sigma(W_{i,f,o}\, x_t + U_{i,f,o}\, h_{t-1} + b_{i,f,o})$$
    $$\tilde c = \tanh(W_c\, x_t + U_c\, h_{t-1} + b_c)$$
    $$c_t = f \odot c_{t-1} + i \odot \tilde c$$
    $$h_t = o \odot \tanh(c_t)$$

    Derivative: along the cell state, $\partial c_t / \partial c_{t-1} = f$ (for constant gates): each step back
        in time multiplies the gradient by a gate that can stay near 1, not by a weight matrix. So the cell remembers.

    Shapes: $x_t$ `(batch, features)`; $h_t$ and $c_t$ `(batch, units)`; $W$ `(features, 4 * units)`;
        $U$ `(units, 4 * units)`.

    Args:
        units: size of the hidden and of the cell state, at least 1.
        **kwargs: as for `keras.layers.LSTMCell`: `activation` (defaults to `"tanh"`), `recurrent_activation`
            (`"sigmoid"`), `use_bias` and `unit_forget_bias` (`True`), `dropout` and `recurrent_dropout` (`0.0`),
            initializers, regularizers, constraints, `seed`.

    Raises:
        ValueError: if `units` is below 1 or a dropout rate is outside [0, 1].

    Example:
        >>> cell = LSTMCell(1, kernel_initializer="zeros", recurrent_initializer="zeros")
        >>> h, (_, c) = cell(ops.ones((1, 1)), [ops.zeros((1, 1)), ops.ones((1, 1))])
        >>> round(float(c[0, 0]), 4)  # sigmoid(1) of the old cell state: remember by default
        0.7311

    In practice: the forget gate's bias starts at 1 (`unit_forget_bias`; Jozefowicz et al., 2015), so that an untrained
    cell remembers. `recurrent_dropout` draws one mask for each gate and has no cuDNN kernel: several times slower on a
    GPU.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; the forget gate is Gers et al., 2000.
    """

    def __init__(self, units, *args, **kwargs):
        _check(units, **kwargs)
        super().__init__(units, *args, **kwargs)

    def call(self, inputs, states, training=False):
        if self.implementation == 1:  # one mask for each gate: the same equation with four separate gates
            return super().call(inputs, states, training=training)
        x, (h, c) = inputs, states
        if training and self.dropout:
            x = x * self.get_dropout_mask(x)

        z = x @ self.kernel + h @ self.recurrent_kernel
        # `ops.add` instead of `+`: on TensorFlow it recognizes a bias by its shape, and its gradient is faster
        i, f, candidate, o = ops.split(ops.add(z, self.bias) if self.use_bias else z, 4, axis=-1)
        c = self.recurrent_activation(f) * c + self.recurrent_activation(i) * self.activation(candidate)
        h = self.recurrent_activation(o) * self.activation(c)
        return h, [h, c]


@keras.saving.register_keras_serializable(package="kerasfound")
class GRUCell(keras.layers.GRUCell):
    r"""One time step of a gated recurrent unit.

    With input $x_t$, hidden state $h_{t-1}$, elementwise product $\odot$, $\sigma$ = `recurrent_activation`, $\tanh$ =
    `activation`; $W$, $U$, $b$ are the three parts of `kernel`, `recurrent_kernel`, `bias`, concatenated in the order
    z, r, h, and $d$ is a second bias for the recurrent part:

    $$z, r = \sigma(W_{z,r}\, x_t + b_{z,r} + U_{z,r}\, h_{t-1} + d_{z,r})$$
    $$\tilde h = \tanh(W_h\, x_t + b_h + r \odot (U_h\, h_{t-1} + d_h))$$
    $$h_t = z \odot h_{t-1} + (1 - z) \odot \tilde h$$

    That is `reset_after=True`, as in cuDNN. With `reset_after=False`, the paper's order, the reset gate comes before
    the product, $\tilde h = \tanh(W_h\, x_t + b_h + U_h (r \odot h_{t-1}))$, and there is no $d$.

    Derivative: $\partial h_t / \partial h_{t-1} = z$ (for constant gates and $\tilde h$): a gate near 1 preserves the
        gradient.

    Shapes: $x_t$ `(batch, features)`; $h_t$ `(batch, units)`; $W$ `(features, 3 * units)`; $U$ `(units, 3 * units)`;
        `bias` `(2, 3 * units)`, or `(3 * units,)` with `reset_after=False`.

    Args:
        units: size of the hidden state, at least 1.
        **kwargs: as for `keras.layers.GRUCell`: `activation` (defaults to `"tanh"`), `recurrent_activation`
            (`"sigmoid"`), `use_bias` and `reset_after` (`True`), `dropout` and `recurrent_dropout` (`0.0`),
            initializers, regularizers, constraints, `seed`.

    Raises:
        ValueError: if `units` is below 1 or a dropout rate is outside [0, 1].

    Example:
        >>> cell = GRUCell(1, kernel_initializer="zeros", recurrent_initializer="zeros")
        >>> h, _ = cell(ops.ones((1, 1)), [ops.ones((1, 1))])
        >>> round(float(h[0, 0]), 4)  # z = sigmoid(0): half the old state, half of a candidate of 0
        0.5

    In practice: about as good as an LSTM with three quarters of its weights and one state instead of two. Some papers
    exchange $z$ and $1 - z$; here $z$ near 1 keeps the old state.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014.
    """

    def __init__(self, units, *args, **kwargs):
        _check(units, **kwargs)
        super().__init__(units, *args, **kwargs)

    def call(self, inputs, states, training=False):
        if self.implementation == 1:  # one mask for each gate: the same equation with three separate gates
            return super().call(inputs, states, training=training)
        x, h = inputs, states[0] if isinstance(states, (list, tuple)) else states
        if training and self.dropout:
            x = x * self.get_dropout_mask(x)
        b = d = 0.0
        if self.use_bias:
            b, d = (self.bias[0], self.bias[1]) if self.reset_after else (self.bias, 0.0)

        x_z, x_r, x_h = ops.split(x @ self.kernel + b, 3, axis=-1)
        if self.reset_after:
            h_z, h_r, h_h = ops.split(h @ self.recurrent_kernel + d, 3, axis=-1)
            z, r = self.recurrent_activation(x_z + h_z), self.recurrent_activation(x_r + h_r)
            candidate = self.activation(x_h + r * h_h)
        else:
            U_z, U_r, U_h = ops.split(self.recurrent_kernel, 3, axis=-1)
            z, r = self.recurrent_activation(x_z + h @ U_z), self.recurrent_activation(x_r + h @ U_r)
            candidate = self.activation(x_h + (r * h) @ U_h)
        h = z * h + (1 - z) * candidate
        return h, [h] if isinstance(states, (list, tuple)) else h


@keras.saving.register_keras_serializable(package="kerasfound")
class SimpleRNN(keras.layers.SimpleRNN):
    r"""A plain recurrent network: `SimpleRNNCell` at every time step.

    With input $x_1 \dots x_T$, $h_0 = 0$ and $\phi$ = `activation`:

    $$h_t = \phi(W x_t + U h_{t-1} + b), \qquad t = 1 \dots T$$

    The output is $h_T$, or all $h_t$ with `return_sequences`.

    Derivative: through time, $\partial L / \partial h_k = \sum_{t \ge k} (\partial L / \partial y_t)\,
        (\partial h_t / \partial h_k)$, where $L$ depends on the outputs $y_t = h_t$.

    Shapes: `(batch, time, features)` to `(batch, units)`, or `(batch, time, units)` with `return_sequences`;
        time may be unknown.

    Args:
        units: size of the hidden state, at least 1.
        **kwargs: as for `keras.layers.SimpleRNN`: those of `SimpleRNNCell` and `return_sequences`, `return_state`,
            `go_backwards`, `stateful`, `unroll` (all `False`).

    Raises:
        ValueError: if `units` is below 1, a dropout rate is outside [0, 1], or the input is not of rank 3.

    Example:
        >>> rnn = SimpleRNN(1, activation="linear", kernel_initializer="ones", recurrent_initializer="ones")
        >>> float(rnn(ops.ones((1, 5, 1)))[0, 0])  # with U = 1 and no activation it counts the steps
        5.0

    In practice: masked steps leave the state unchanged. Do not `unroll` more than about twenty steps: compiling takes
    minutes.

    Source: Elman, "Finding Structure in Time", 1990.
    """

    cell_class = SimpleRNNCell

    def __init__(self, units, *args, activity_regularizer=None, **kwargs):
        _check(units, **kwargs)
        super().__init__(units, *args, **kwargs)
        # Keras has built its cell from all arguments: this keeps them and changes the equation.
        self.cell.__class__ = self.cell_class
        # Keras 3.15 accepts this argument, and `seed` below, but loses both.
        self.activity_regularizer = keras.regularizers.get(activity_regularizer)

    def get_config(self):
        return super().get_config() | {"seed": self.cell.seed}


@keras.saving.register_keras_serializable(package="kerasfound")
class LSTM(keras.layers.LSTM):
    r"""A long short-term memory: `LSTMCell` at every time step.

    With input $x_1 \dots x_T$ and $h_0 = c_0 = 0$:

    $$h_t, c_t = \mathrm{cell}(x_t, h_{t-1}, c_{t-1}), \qquad t = 1 \dots T$$

    The output is $h_T$, or all $h_t$ with `return_sequences`; `LSTMCell` holds the equation.

    Derivative: along the cell state, $\partial c_t / \partial c_k = \prod_{j=k+1}^{t} f_j$ (for constant gates).

    Shapes: `(batch, time, features)` to `(batch, units)`, or `(batch, time, units)` with `return_sequences`;
        time may be unknown.

    Args:
        units: size of the hidden and of the cell state, at least 1.
        **kwargs: as for `keras.layers.LSTM`: those of `LSTMCell` and `return_sequences`, `return_state`,
            `go_backwards`, `stateful`, `unroll` (all `False`), `use_cudnn` (`"auto"`).

    Raises:
        ValueError: if `units` is below 1, a dropout rate is outside [0, 1], or the input is not of rank 3.

    Example:
        >>> lstm = LSTM(2, return_sequences=True)
        >>> lstm(ops.ones((1, 5, 3))).shape == (1, 5, 2), lstm.count_params()  # 4 gates * (3 + 2 + 1) * 2
        (True, 48)

    In practice: on a GPU, tanh and sigmoid with a bias and without `recurrent_dropout` and `unroll` run in cuDNN's
    kernel, the same equation in one launch; all other settings run `LSTMCell` step by step. With TensorFlow on a GPU a
    mask must hide the end of a sequence, not its start.

    Source: Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997.
    """

    cell_class = LSTMCell

    def __init__(self, units, *args, **kwargs):
        _check(units, **kwargs)
        super().__init__(units, *args, **kwargs)
        self.cell.__class__ = self.cell_class

    def get_config(self):
        return super().get_config() | {"use_cudnn": self.use_cudnn}


@keras.saving.register_keras_serializable(package="kerasfound")
class GRU(keras.layers.GRU):
    r"""A gated recurrent unit: `GRUCell` at every time step.

    With input $x_1 \dots x_T$ and $h_0 = 0$:

    $$h_t = \mathrm{cell}(x_t, h_{t-1}), \qquad t = 1 \dots T$$

    The output is $h_T$, or all $h_t$ with `return_sequences`; `GRUCell` holds the equation.

    Derivative: $\partial h_t / \partial h_k = \prod_{j=k+1}^{t} z_j$ (for constant gates and candidates).

    Shapes: `(batch, time, features)` to `(batch, units)`, or `(batch, time, units)` with `return_sequences`;
        time may be unknown.

    Args:
        units: size of the hidden state, at least 1.
        **kwargs: as for `keras.layers.GRU`: those of `GRUCell` and `return_sequences`, `return_state`,
            `go_backwards`, `stateful`, `unroll` (all `False`), `use_cudnn` (`"auto"`).

    Raises:
        ValueError: if `units` is below 1, a dropout rate is outside [0, 1], or the input is not of rank 3.

    Example:
        >>> gru = GRU(2)
        >>> gru(ops.ones((1, 5, 3))).shape == (1, 2), gru.count_params()  # 3 gates * (3 + 2 + 2 biases) * 2
        (True, 42)

    In practice: Keras's backends have a faster loop for the default arguments (cuDNN for TensorFlow on a GPU; for JAX a
    scan with the inputs multiplied beforehand); with `use_cudnn=False` `GRUCell` always runs step by step.

    Source: Cho et al., "Learning Phrase Representations using RNN Encoder-Decoder", 2014.
    """

    cell_class = GRUCell

    def __init__(self, units, *args, **kwargs):
        _check(units, **kwargs)
        super().__init__(units, *args, **kwargs)
        self.cell.__class__ = self.cell_class

    def get_config(self):
        return super().get_config() | {"use_cudnn": self.use_cudnn}


@keras.saving.register_keras_serializable(package="kerasfound")
class Bidirectional(keras.layers.Bidirectional):
    r"""Two recurrent layers over the same sequence, one of them from the end to the start.

    With $\overrightarrow{h}_t$ from `layer` and $\overleftarrow{h}_t$ from `backward_layer`, which reads
    $x_T \dots x_1$:

    $$y_t = \mathrm{merge}(\overrightarrow{h}_t, \overleftarrow{h}_t)$$

    `merge_mode`: `"concat"`, `"sum"`, `"mul"` (product), `"ave"` (mean), or `None` for a list of both. Each $y_t$
    depends on the whole sequence; without `return_sequences` the output has the last state of each direction.

    Shapes: as `layer`, twice as wide with `"concat"`.

    Args:
        layer: a recurrent layer (`LSTM(16)`); it is copied, with fresh weights.
        merge_mode: one of `"concat"`, `"sum"`, `"mul"`, `"ave"`, `None`. Defaults to `"concat"`.
        weights: initial weights, the first half for the forward layer. Defaults to `None`.
        backward_layer: a layer with `go_backwards=True`. Defaults to a reversed copy of `layer`.
        **kwargs: as for every Keras layer.

    Raises:
        ValueError: if `layer` is not a layer, `merge_mode` is unknown, or the two layers do not fit together.

    Example:
        >>> ones = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}
        >>> y = Bidirectional(SimpleRNN(1, "linear", return_sequences=True, **ones))(ops.ones((1, 3, 1)))
        >>> [[float(v) for v in step] for step in y[0]]  # steps counted from the start, and from the end
        [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]

    In practice: it needs the whole sequence, so it fits neither streams nor text generation. Padding must be masked, or
    the backward layer starts in the padding. The JAX backend runs both directions in one cuDNN pass.

    Source: Schuster and Paliwal, "Bidirectional Recurrent Neural Networks", 1997.
    """
