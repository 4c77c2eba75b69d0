"""Small settings, verdicts and wrong blocks of the labs on activations."""

import keras

import kerasfound as kf


def swapped(name, other):
    """The activation `name` replaced by another one."""

    def mutant(patch):
        patch.setattr(kf.activations, name, getattr(kf.activations, other))

    mutant.__doc__ = f"{other} in the place of {name}"
    return mutant


def slow_relu(patch):
    """A ReLU by many steps."""

    def relu(x):
        for _ in range(10):
            x = keras.ops.tanh(x) + keras.ops.sigmoid(x)
        return x

    patch.setattr(kf.activations, "relu", relu)


def he_without_its_factor(patch):
    """He's weights without the factor 2 for ReLU."""
    patch.setattr(kf.initializers, "HeNormal", kf.initializers.LecunNormal)


def steep_sigmoid(patch):
    """A sigmoid with the slope 1."""
    patch.setattr(kf.activations, "sigmoid", lambda x: keras.ops.sigmoid(4 * x))


def dead_relu(patch):
    """A ReLU that is 0 on its positive side, too."""
    patch.setattr(kf.activations, "relu", lambda x: 0.0 * x)


def huge_relu(patch):
    """A ReLU that is a thousand times too large."""
    right = kf.activations.relu
    patch.setattr(kf.activations, "relu", lambda x: 1000.0 * right(x))


CASES = {
    "linear_collapse": ({"layers": 3, "seeds": 8}, "holds if", swapped("linear", "tanh")),
    "relu_cost": ({"units": 512, "rows": 1024, "seeds": 4}, "holds", slow_relu),
    "relu_gradient": ({"seeds": 4}, "holds if", he_without_its_factor),
    "relu_sparsity": ({"samples": 200, "steps": 50, "seeds": 8}, "holds if", swapped("relu", "leaky_relu")),
    "dead_units": ({"samples": 500, "steps": 80, "seeds": 4}, "holds if", swapped("relu", "leaky_relu")),
    "sigmoid_vanishing": ({"seeds": 4}, "holds if", steep_sigmoid),
    "tanh_better": ({"samples": 300, "steps": 100, "seeds": 3}, "holds if", swapped("tanh", "sigmoid")),
    "tanh_is_sigmoid": ({"samples": 300, "steps": 50, "seeds": 2}, "holds if", steep_sigmoid),
    "hidden_relu": ({"steps": 150, "seeds": 3}, "holds if", dead_relu),
    "gelu": ({"steps": 50, "seeds": 4}, "false as stated", huge_relu),
}
