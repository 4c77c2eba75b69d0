"""Small settings, verdicts and wrong blocks of the labs on generalization."""

import kerasfound as kf


def linear_relu(patch):
    """ReLU that is the identity."""
    patch.setattr(kf.activations, "relu", lambda x: x)


def dead_relu(patch):
    """ReLU that returns zero for every input."""
    patch.setattr(kf.activations, "relu", lambda x: 0 * x)


def dead_tanh(patch):
    """tanh that returns zero for every input."""
    patch.setattr(kf.activations, "tanh", lambda x: 0 * x)


def no_dropout(patch):
    """Dropout that drops nothing in training."""
    patch.setattr(kf.layers.Dropout, "call", lambda self, inputs, training=False: inputs)


def no_weight_decay(patch):
    """AdamW that never decays."""
    right = kf.optimizers.AdamW
    patch.setattr(kf.optimizers, "AdamW", lambda rate, weight_decay: right(rate, weight_decay=0.0))


def equal_initial_values(patch):
    """He's weights that are the same for every seed."""
    right = kf.initializers.HeNormal
    patch.setattr(kf.initializers, "HeNormal", lambda: right(seed=0))


CASES = {
    "random_labels": ({"seeds": 3}, "holds if", linear_relu),
    "double_descent": ({"seeds": 3, "examples": 150}, "holds if", linear_relu),
    "overfitting": ({}, "holds", no_dropout),
    "early_stopping": ({"seeds": 3}, "holds if", dead_relu),
    "label_noise": ({"seeds": 2}, "holds if", dead_relu),
    "shallow_memorizes": ({"seeds": 2}, "false as stated", dead_relu),
    "data_need": ({}, "false as stated", dead_relu),
    "data_scaling": ({}, "holds if", dead_tanh),
    "noise_dimensions": ({"seeds": 3}, "holds if", dead_relu),
    "lottery_tickets": ({"seeds": 4}, "holds if", equal_initial_values),
    "grokking": ({"steps": 1800}, "holds if", no_weight_decay),
}
