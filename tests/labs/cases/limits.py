"""Small settings, verdicts and wrong blocks of the labs on the limits of deep learning."""

from keras import ops

import kerasfound as kf


def relu_without_gradient(patch):
    """ReLU whose derivative is zero everywhere: the hidden layer stays random, and no gradient reaches the input."""
    patch.setattr(kf.activations, "relu", lambda x: ops.stop_gradient(ops.maximum(x, 0)))


def linear_relu(patch):
    """ReLU that is the identity."""
    patch.setattr(kf.activations, "relu", lambda x: x)


def adam_that_stops(patch):
    """Adam whose rate is zero from step 100 on."""
    right = kf.optimizers.Adam.update_step

    def update_step(self, gradient, variable, rate):
        right(self, gradient, variable, rate * ops.cast(self.iterations < 100, "float32"))

    patch.setattr(kf.optimizers.Adam, "update_step", update_step)


def softmax_of_ten_times_the_logits(patch):
    """A softmax ten times too sharp."""
    right = kf.activations.softmax
    patch.setattr(kf.activations, "softmax", lambda x: right(10 * x))


CASES = {
    "calibration": ({"seeds": 3, "steps": 1000}, "holds if", softmax_of_ten_times_the_logits),
    "forgetting": ({"seeds": 2, "steps": 100}, "false as stated", adam_that_stops),
    "adversarial": ({"seeds": 3, "steps": 200, "change": 0.15}, "holds if", relu_without_gradient),
    "black_box": ({"seeds": 2, "steps": 200}, "false as stated", relu_without_gradient),
    "raw_pixels": ({"steps": 1500}, "holds if", linear_relu),
    "small_tables": ({}, "holds if", linear_relu),
    "training_cost": ({"seeds": 2}, "holds if", relu_without_gradient),
}
