"""The labs on optimizers, with small settings."""

import pytest
from keras import ops

import kerasfound as kf


def long_steps(patch):
    """Steps that are 10% too long."""
    right = kf.optimizers.GradientDescent.update_step
    patch.setattr(kf.optimizers.GradientDescent, "update_step", lambda self, g, w, rate: right(self, 1.1 * g, w, rate))


def damped_velocity(patch):
    """The mean of the gradients instead of their sum."""
    right = kf.optimizers.Momentum.update_step
    patch.setattr(
        kf.optimizers.Momentum, "update_step", lambda self, g, w, rate: right(self, (1 - self.momentum) * g, w, rate)
    )


def reversed_velocity(patch):
    """The velocity changes its sign in each step."""

    def update_step(self, gradient, variable, learning_rate):
        v = self.velocity[self._get_variable_index(variable)]
        self.assign(v, -self.momentum * v - ops.cast(learning_rate, variable.dtype) * gradient)
        self.assign_add(variable, v)

    patch.setattr(kf.optimizers.Momentum, "update_step", update_step)


def without_velocity(patch):
    """Momentum and Adam step along the gradient, like plain gradient descent."""
    for optimizer in (kf.optimizers.Momentum, kf.optimizers.Adam):
        patch.setattr(optimizer, "update_step", kf.optimizers.GradientDescent.update_step)


CASES = {
    "step_size": ({"seeds": 3}, "holds if", long_steps),
    "momentum_memory": ({"seeds": 3}, "holds if", damped_velocity),
    "momentum_oscillation": ({"seeds": 4, "steps": 200}, "holds if", reversed_velocity),
    "overshooting": ({"seeds": 4}, "false as stated", without_velocity),
    "saddle_escape": ({"seeds": 4}, "holds if", without_velocity),
}


@pytest.mark.slow
def test_the_verdict(case):
    case.check()


@pytest.mark.slow
def test_a_wrong_block_turns_the_verdict(case, monkeypatch):
    case.check_mutant(monkeypatch)
