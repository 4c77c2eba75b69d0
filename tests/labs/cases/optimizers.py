"""Small settings, verdicts and wrong blocks of the labs on optimizers."""

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


def constant_schedule(patch):
    """A schedule that never falls."""
    patch.setattr(
        kf.schedules.LinearDecay, "__call__", lambda self, step: ops.cast(self.initial_learning_rate, "float32")
    )


def adam_without_correction(patch):
    """The means stay as small as they start."""

    def update_step(self, gradient, variable, learning_rate):
        i = self._get_variable_index(variable)
        m, v = self.mean[i], self.mean_square[i]
        self.assign(m, self.beta_1 * m + (1 - self.beta_1) * gradient)
        self.assign(v, self.beta_2 * v + (1 - self.beta_2) * ops.square(gradient))
        self.assign_sub(variable, learning_rate * m / (ops.sqrt(v) + self.epsilon))

    patch.setattr(kf.optimizers.Adam, "update_step", update_step)


def rmsprop_that_sums(patch):
    """RMSprop with Adagrad's sum instead of a running mean."""

    def update_step(self, gradient, variable, learning_rate):
        v = self.mean_square[self._get_variable_index(variable)]
        self.assign_add(v, ops.square(gradient))
        self.assign_sub(variable, learning_rate * gradient / ops.sqrt(v + self.epsilon))

    patch.setattr(kf.optimizers.RMSprop, "update_step", update_step)


def adam_without_rate(patch):
    """Adam that ignores its learning rate."""
    right = kf.optimizers.Adam.update_step
    patch.setattr(kf.optimizers.Adam, "update_step", lambda self, g, w, rate: right(self, g, w, 0.01))


def half_steps(patch):
    """Steps of half the length."""
    right = kf.optimizers.GradientDescent.update_step
    patch.setattr(kf.optimizers.GradientDescent, "update_step", lambda self, g, w, rate: right(self, 0.5 * g, w, rate))


def ascending_sgd(patch):
    """SGD that steps up the gradient."""
    right = kf.optimizers.SGD.update_step
    patch.setattr(kf.optimizers.SGD, "update_step", lambda self, g, w, rate: right(self, -g, w, rate))


def ascending_rivals(patch):
    """All optimizers but Adam step up the gradient."""
    for optimizer in (kf.optimizers.SGD, kf.optimizers.Momentum, kf.optimizers.RMSprop):
        right = optimizer.update_step
        patch.setattr(optimizer, "update_step", lambda self, g, w, rate, right=right: right(self, -g, w, rate))


CASES = {
    "step_size": ({"seeds": 3}, "holds if", long_steps),
    "momentum_memory": ({"seeds": 3}, "holds if", damped_velocity),
    "momentum_oscillation": ({"seeds": 4, "steps": 200}, "holds if", reversed_velocity),
    "overshooting": ({"seeds": 4}, "false as stated", without_velocity),
    "saddle_escape": ({"seeds": 4}, "holds if", without_velocity),
    "convergence": ({"steps": 2000}, "holds if", constant_schedule),
    "rmsprop_drift": ({"seeds": 4}, "holds if", rmsprop_that_sums),
    "adam_parts": ({"seeds": 3}, "holds if", adam_without_correction),
    "step_reduces": ({}, "holds if", half_steps),
    "batch_size_time": ({"target": 1.0}, "holds if", ascending_sgd),
    "race": ({"steps": 60}, "false as stated", ascending_rivals),
    "adam_tuning": ({"steps": 60, "seeds": 3}, "false as stated", adam_without_rate),
}
