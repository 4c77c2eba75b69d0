"""A text model's explanation as sections of a page: each token with what it adds, and where attention layers look."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from kerasfound.errors import UserError
from kerasfound.training.report import Section

from .attention_reading import attention_maps, attention_rollout
from .explained_output import ExplainedOutput
from .token_contributions import token_attribution

LINE = 88
"""Characters in a line of the figure."""
MOST_TOKENS = 240
"""Tokens in the figure, the last ones of the text."""
STRONGEST = 8
"""Tokens in the table, for each sign."""
METHODS = ("integrated_gradients", "leave_one_out")
"""The methods for texts."""
DRAWN_POSITIONS = 40
"""Positions in a map of attention, the last ones."""


def text_section(
    model: keras.Model,
    ids: np.ndarray,
    name: str,
    token_of: Callable[[int], str],
    labels: Sequence[str],
    target: int | None,
    method: Any,
) -> Section:
    """The tokens of one text, shaded by what they add to the class.

    Args:
        model: a Keras model of token ids with outputs `(rows, classes)`.
        ids: `(time,)`, 0 for padding.
        name: of the text.
        token_of: the text of an id.
        labels: the names of the classes.
        target: the class to explain. Defaults to the predicted one.
        method: one of `METHODS`.
    """
    if method not in METHODS:
        raise UserError(f"`method` {method}: no such method for texts; choose {', '.join(METHODS)}.")
    ids = ids[: 1 + np.flatnonzero(ids)[-1]] if ids.any() else ids[:1]
    explained = ExplainedOutput(model, ids[None], target)
    chosen = int(explained.target[0])
    found = token_attribution(model, ids[None], chosen, method)
    tokens, values = [token_of(int(i)) for i in ids], found.attributions[0]
    label = labels[chosen]
    how = (
        f"They sum to {found.total[0]:.3f}; the output changes by {found.change[0]:.3f}, with {found.steps} steps"
        f"{'' if found.error <= 0.02 else ', too few for this model: take the numbers as rough'}"
        if method == "integrated_gradients"
        else f"They sum to {found.total[0]:.3f}, where all tokens together change it by {found.change[0]:.3f}"
    )
    text = (
        f"{label!r} has the probability {explained.outputs[0, chosen]:.1%}. The numbers are contributions to the "
        f"log-odds of the class by {method.replace('_', ' ')}. {how}."
    )
    order = np.argsort(-values, kind="stable")
    against, in_favor = [i for i in order[::-1] if values[i] < 0], [i for i in order if values[i] > 0]
    rows = [
        tuple(f"{tokens[i]} ({values[i]:+.3f})" for i in pair)
        for pair in zip(in_favor[:STRONGEST], against[:STRONGEST], strict=False)
    ]
    alt = f"The text. For {label}: {', '.join(tokens[i] for i in in_favor[:5])}. "
    alt += f"Against: {', '.join(tokens[i] for i in against[:5])}."
    table = [(f"for {label}", "against"), *rows] if rows else None
    short = name if len(name) <= 60 else f"{name[:60]} …"
    figure = tokens_figure(tokens[-MOST_TOKENS:], values[-MOST_TOKENS:], label)
    return Section(f"{method} {name}", f"{short} ({method.replace('_', ' ')})", text, figure, table, alt)


def tokens_figure(tokens: Sequence[str], values: np.ndarray, label: str) -> Figure:
    """The tokens in lines. A darker ground speaks for the class; underlined tokens speak against it."""
    places, line, column = [], 0, 0
    for token in tokens:
        if column and column + len(token) > LINE:
            line, column = line + 1, 0
        places.append((line, column))
        column += len(token) + 1
    figure = Figure(figsize=(10, 0.3 * (line + 1) + 0.45), layout="constrained")
    axes = figure.subplots()
    axes.set(xlim=(-0.5, LINE + 12), ylim=(line + 0.8, -0.8))
    axes.set_axis_off()
    limit = float(np.abs(values).max()) or 1.0
    for token, value, (row, start) in zip(tokens, values, places, strict=True):
        strength = abs(float(value)) / limit
        width = len(token) * 1.02
        if value > 0:
            axes.fill_between([start - 0.3, start + width], row - 0.4, row + 0.4, color=str(1 - 0.75 * strength), lw=0)
        elif strength > 0.05:
            axes.plot([start, start + width], [row + 0.42] * 2, color="#D55E00", linewidth=4 * strength)
        ink = "white" if value > 0 and strength > 0.6 else "black"
        axes.text(start, row, token.replace("$", r"\$"), color=ink, va="center", fontsize=9, family="monospace")
    axes.set_title(f"dark ground: for {label}; underlined: against".replace("$", r"\$"), fontsize=9, loc="left")
    return figure


def attention_sections(model: keras.Model, ids: np.ndarray, name: str, tokens: Sequence[str]) -> list[Section]:
    """Where each attention layer looks, as the mean over its heads, and the rollout through all layers.

    Args:
        model: a Keras model with attention layers.
        ids: `(time,)`, one input of the model.
        name: of the input.
        tokens: the text of each position.
    """
    maps = attention_maps(model, ids[None])
    shown = min(len(tokens), DRAWN_POSITIONS)
    words = [token.replace("$", r"\$") for token in tokens[-shown:]]
    panels = [(f"{number}: {one.layer}", one.weights[0].mean(0)) for number, one in enumerate(maps, 1)]
    panels.append(("rollout", attention_rollout(maps)[0]))
    across = min(3, len(panels))
    lines = -(-len(panels) // across)
    figure = Figure(figsize=(4.4 * across, 4.9 * lines), layout="constrained")
    grid = figure.subplots(lines, across, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, weights) in zip(grid, panels, strict=False):
        drawn = weights[-shown:, -shown:]
        # the first positions have few others to read from: their large weights would leave all others white
        axes.imshow(drawn, cmap="Greys", vmin=0, vmax=max(float(np.quantile(drawn, 0.98)), 1e-6))
        axes.set_xticks(range(shown), words, fontsize=6)
        axes.set_yticks(range(shown), words, fontsize=6)
        axes.set_title(title, fontsize=10)
        axes.set(xlabel="reads from", ylabel="position")
    last = [f"layer {title} most from {tokens[int(w[-1].argmax())]!r}" for title, w in panels]
    alt = "Matrices of attention weights. The last position reads: " + "; ".join(last) + "."
    text = (
        "How much each position (row) reads from each other (column), darker is more: the mean over the heads of each "
        f"layer, and the rollout through all {len(maps)} layers. It shows where a layer reads, not what it needs."
    )
    return [Section(f"attention {name}", f"Attention: {name[:60]}", text, figure, alt=alt)]
