"""Small settings, verdicts and wrong blocks of the labs on depth."""

from keras import ops

import kerasfound as kf


def linear_tanh(patch):
    """tanh that is the identity."""
    patch.setattr(kf.activations, "tanh", lambda x: x)


def leaky_relu(patch):
    """ReLU that lets a third of negative inputs through."""
    patch.setattr(kf.activations, "relu", lambda x: ops.maximum(x, x / 3))


def linear_relu(patch):
    """ReLU that is the identity."""
    patch.setattr(kf.activations, "relu", lambda x: x)


def relu_without_gradient(patch):
    """ReLU whose derivative is zero everywhere: the filters stay as they are."""
    patch.setattr(kf.activations, "relu", lambda x: ops.stop_gradient(ops.maximum(x, 0)))


CASES = {
    "approximation": ({"seeds": 4, "steps": 200}, "holds if", linear_tanh),
    "linear_pieces": ({}, "holds if", leaky_relu),
    "equal_parameters": ({"steps": 500, "seeds": 6}, "holds if", linear_relu),
    "linear_probes": ({"seeds": 4, "steps": 300}, "holds if", linear_relu),
    "filters": ({"seeds": 5, "steps": 500}, "not testable here", relu_without_gradient),
    "sawtooth": ({"seeds": 2, "steps": 300}, "holds if", leaky_relu),
}
