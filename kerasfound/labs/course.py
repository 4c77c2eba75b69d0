"""The labs in the order of the course."""

import difflib
import importlib

from kerasfound.errors import UserError

from .experiment import Lab

COURSE: dict[str, tuple[str, ...]] = {
    "neuron": ("perceptron_bound", "xor", "hidden_units", "bias", "weight_importance", "firing"),
    "activations": (
        "linear_collapse",
        "relu_cost",
        "relu_gradient",
        "relu_sparsity",
        "dead_units",
        "sigmoid_vanishing",
        "tanh_better",
        "tanh_is_sigmoid",
        "hidden_relu",
        "gelu",
    ),
    "losses": ("confidently_wrong", "outliers", "wrong_pairs", "proper_scores"),
    "gradients": ("chain_rule", "gradient_check", "gradient_noise", "without_backprop"),
    "optimizers": (
        "step_size",
        "step_reduces",
        "momentum_memory",
        "momentum_oscillation",
        "overshooting",
        "saddle_escape",
        "convergence",
        "rmsprop_drift",
        "adam_parts",
        "adam_tuning",
        "batch_size_time",
        "race",
    ),
    "initialization": ("signal_variance", "stalled_network", "batch_normalization", "normalization_why"),
    "depth": ("approximation", "linear_pieces", "sawtooth", "equal_parameters", "linear_probes", "filters"),
    "generalization": (
        "overfitting",
        "early_stopping",
        "random_labels",
        "shallow_memorizes",
        "label_noise",
        "data_need",
        "data_scaling",
        "noise_dimensions",
        "double_descent",
        "lottery_tickets",
        "grokking",
    ),
    "structure": (
        "pixel_order",
        "pooling_shifts",
        "receptive_field",
        "attention_lookup",
        "attention_scale",
        "causal_mask",
        "positions",
        "lstm_memory",
        "adding_task",
        "copy_task",
        "induction_heads",
        "superposition",
        "parallel",
    ),
    "limits": ("calibration", "adversarial", "forgetting", "black_box", "raw_pixels", "small_tables", "training_cost"),
}
"""The names of the labs by chapter. Lab NAME of CHAPTER is the function NAME in `labs/CHAPTER/NAME.py`."""

CHAPTERS = {name: chapter for chapter, names in COURSE.items() for name in names}


def find(name: str) -> Lab:
    """Import a lab.

    Raises:
        kerasfound.errors.UserError: if there is no such lab; the message suggests similar names.
    """
    key = name.replace("-", "_")
    if key not in CHAPTERS:
        close = difflib.get_close_matches(key, CHAPTERS, n=3) or [other for other in CHAPTERS if key in other][:3]
        hint = f" Did you mean {' or '.join(close)}?" if close else ""
        raise UserError(f'no lab "{name}".{hint}  See `kerasfound lab list`.')
    lab: Lab = getattr(importlib.import_module(f"{__package__}.{CHAPTERS[key]}.{key}"), key)
    return lab


def names_of(chapter: str | None) -> tuple[str, ...]:
    """The names of the labs of a chapter, or of all labs."""
    if chapter is None:
        return tuple(CHAPTERS)
    if chapter not in COURSE:
        raise UserError(f'no chapter "{chapter}" of labs; choose {", ".join(COURSE)}.')
    return COURSE[chapter]
