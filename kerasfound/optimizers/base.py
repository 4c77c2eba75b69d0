"""The base class of our optimizers: on torch a kernel updates all weights at once, in place."""

import keras
from keras import ops


class Optimizer(keras.optimizers.Optimizer):
    """Keras's optimizer with a second, faster way to compute the same update on torch.

    TensorFlow and JAX compile `update_step`. On torch each operation in it costs microseconds in Keras before torch
    begins, again for every weight: for small layers this is most of a step. A class therefore names the function of
    `kerasfound.optimizers.torch_kernels` that computes the same equation for all weights at once.
    """

    torch_kernel: str | None = None
    """The name of the torch kernel, set next to the `update_step` that it equals. `None`: `update_step` runs."""

    def _backend_update_step(self, grads, trainable_variables, learning_rate):
        if keras.backend.backend() != "torch":
            return super()._backend_update_step(grads, trainable_variables, learning_rate)
        from . import torch_kernels  # imports torch

        name = self._torch_kernel_of_update_step()
        kernel = getattr(torch_kernels, name) if name else None
        return torch_kernels.update(kernel, self, grads, trainable_variables, learning_rate)

    def finalize_variable_values(self, var_list):
        super().finalize_variable_values(var_list)
        if self.use_ema and keras.backend.backend() == "jax":
            # weight and average would be one buffer, which the next compiled step deletes for both
            for variable in var_list:
                variable.assign(ops.copy(variable))

    def _torch_kernel_of_update_step(self):
        """Return the kernel that the class with `update_step` names: a subclass with a new equation inherits none."""
        owner = next(cls for cls in type(self).__mro__ if "update_step" in vars(cls))
        return vars(owner).get("torch_kernel")
