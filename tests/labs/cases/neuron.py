"""Small settings, verdicts and wrong blocks of the labs on the neuron."""

import keras

import kerasfound as kf


def ascending_adam(patch):
    """Adam that steps up the gradient."""
    right = kf.optimizers.Adam.update_step
    patch.setattr(kf.optimizers.Adam, "update_step", lambda self, g, w, rate: right(self, -g, w, rate))


def unlearning_perceptron(patch):
    """A perceptron that learns each mistake with the wrong sign."""
    right = kf.layers.Perceptron.compute_loss
    patch.setattr(kf.layers.Perceptron, "compute_loss", lambda self, *args, **kwargs: -right(self, *args, **kwargs))


def linear_tanh(patch):
    """A tanh that is the identity."""
    patch.setattr(kf.activations, "tanh", kf.activations.linear)


def dense_without_bias(patch):
    """A dense layer that does not add its bias."""
    patch.setattr(kf.layers.Dense, "call", lambda self, x, training=None: keras.ops.matmul(x, self.kernel))


def reversed_dense(patch):
    """A dense layer that multiplies the first weight by the last input, and so on."""
    right = kf.layers.Dense.call
    patch.setattr(kf.layers.Dense, "call", lambda self, x, training=None: right(self, keras.ops.flip(x, -1)))


def smooth_step(patch):
    """A step that rises gradually."""
    patch.setattr(kf.activations, "step", kf.activations.sigmoid)


CASES = {
    "perceptron_bound": ({"seeds": 3, "points": 20, "passes": 8}, "holds if", unlearning_perceptron),
    "xor": ({"seeds": 4, "steps": 200}, "holds if", ascending_adam),
    "hidden_units": ({"seeds": 10, "steps": 200}, "holds if", linear_tanh),
    "bias": ({"seeds": 3}, "holds if", dense_without_bias),
    "weight_importance": ({"seeds": 3}, "holds if", reversed_dense),
    "firing": ({"samples": 200, "steps": 60, "seeds": 2}, "holds if", smooth_step),
}
