"""What the data of a run says about its model: similar training examples, calibration, and what excites filters."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from matplotlib.figure import Figure

from kerasfound.errors import UserError
from kerasfound.training import first_filters
from kerasfound.training.report import Section

from .image_sections import show_image
from .learned_filters import exciting_examples, exciting_images
from .similar_examples import nearest_examples
from .temperature import Calibration, calibration, temperature_scaling

SEARCHED = 2000
"""Training rows among which similar ones are searched."""
NEIGHBOURS = 5
FILTERS = 8
"""Filters with exciting images."""


def neighbours_section(
    model: keras.Model,
    rows: Sequence[tuple[str, np.ndarray]],
    train: tuple[np.ndarray, np.ndarray],
    labels: Sequence[str],
    shown: Callable[[np.ndarray], str] | None = None,
) -> Section:
    """The training examples that the model sees as the most similar to each row.

    Args:
        model: a Keras model.
        rows: names and inputs.
        train: training inputs and their targets.
        labels: the names of the classes; empty for numbers.
        shown: the text of a row for a table. Defaults to images in a figure.
    """
    x, y = train[0][:SEARCHED], train[1][:SEARCHED]
    found = nearest_examples(model, np.stack([row for _, row in rows]), x, count=min(NEIGHBOURS, len(x)))

    def answer(place: int) -> str:
        return str(labels[int(y[place])]) if labels else f"{y[place]:.4g}"

    text = (
        f"The nearest of {len(x):,} training examples by the cosine of the features that layer {found.layer} reads. "
        "A neighbour of another class shows what the model confuses."
    )
    answers = [[answer(place) for place in places] for places in found.places]
    words = "; ".join(f"{name}: {', '.join(a)}" for (name, _), a in zip(rows, answers, strict=True))
    alt = f"Classes of the neighbours: {words}."
    title = "Similar training examples"
    if shown:
        table = [("input", "distance", "target", "training example")]
        for (name, _), places, distances in zip(rows, found.places, found.distances, strict=True):
            table += [(name[:40], f"{d:.3f}", answer(p), shown(x[p])) for p, d in zip(places, distances, strict=True)]
        return Section("nearest_examples", title, text, table=table)
    figure = Figure(figsize=(1.5 * (1 + NEIGHBOURS), 1.75 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), 1 + found.places.shape[1], squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for line, (_, row), places, distances, names in zip(
        grid, rows, found.places, found.distances, answers, strict=True
    ):
        show_image(line[0], row)
        line[0].set_title("input", fontsize=8)
        for axes, place, distance, name in zip(line[1:], places, distances, names, strict=True):
            show_image(axes, x[place])
            axes.set_title(f"{name[:14]} ({distance:.3f})".replace("$", r"\$"), fontsize=8)
    return Section("nearest_examples", title, text, figure, alt=alt)


def temperature_section(validation: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> Section:
    """Calibration on the test rows, before and after the temperature that was fitted on the validation rows.

    Args:
        validation: probabilities and classes.
        test: probabilities and classes.
    """
    try:
        temperature = temperature_scaling(*validation)
    except UserError as error:
        return Section("temperature_scaling", "Calibration and temperature", f"On validation rows: {error}")
    before, after = calibration(*test), calibration(temperature.scale(test[0]), test[1])
    figure = Figure(figsize=(8, 3.9), layout="constrained")
    for axes, (title, curve) in zip(
        figure.subplots(1, 2, sharey=True),
        (("as trained", before), (f"T = {temperature.value:.2f}", after)),
        strict=True,
    ):
        _draw_calibration(axes, curve)
        axes.set(title=f"{title}: ECE {curve.error:.3f}", xlabel="predicted probability", ylabel="accuracy")
        axes.label_outer()
    way = "too sure" if temperature.value > 1 else "not sure enough"
    text = (
        f"The temperature {temperature.value:.2f}, fitted on {len(validation[1]):,} validation rows, says that the "
        f"model is {way}. On {len(test[1]):,} test rows the expected calibration error (ECE) is {before.error:.4f} "
        f"without and {after.error:.4f} with it; no decision changes. Larger points have more rows."
    )
    alt = (
        f"Accuracy by predicted probability. Calibration error {before.error:.3f} as trained, {after.error:.3f} after."
    )
    return Section("temperature_scaling", "Calibration and temperature", text, figure, alt=alt)


def _draw_calibration(axes: Any, curve: Calibration) -> None:
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    sizes = 12 + 120 * np.sqrt(curve.rows / curve.rows.max())
    axes.plot(curve.confidence, curve.accuracy, color="black", linewidth=1)
    axes.scatter(curve.confidence, curve.accuracy, s=sizes, color="0.45", edgecolors="black", zorder=2)
    axes.set(xlim=(0, 1.03), ylim=(0, 1.06))


def filters_sections(model: keras.Model, examples: np.ndarray) -> list[Section]:
    """The filters of the first convolution, an image made for each of some, and the images that excite them most."""
    sections, layer = first_filters.filters_sections(model), first_filters.first_convolution(model)
    if not sections or layer is None:
        return []
    numbers = list(range(min(FILTERS, layer.weights[0].shape[-1])))
    high = 255.0 if examples.max() > 1 else 1.0
    made = exciting_images(model, layer.name, numbers, high=high, shape=examples.shape[1:])
    found = exciting_examples(model, layer.name, numbers, examples, count=min(4, len(examples)))
    figure = Figure(figsize=(1.35 * len(numbers), 1.5 * (1 + found.places.shape[1])), layout="constrained")
    grid = figure.subplots(1 + found.places.shape[1], len(numbers), squeeze=False)
    for column, number in enumerate(numbers):
        for axes, image in zip(grid[:, column], [made[column], *examples[found.places[column]]], strict=True):
            show_image(axes, image / high)
            axes.set(xticks=[], yticks=[])
        grid[0, column].set_title(f"filter {number}", fontsize=8)
    grid[0, 0].set_ylabel("made for it", fontsize=8)
    for rank, axes in enumerate(grid[1:, 0], 1):
        axes.set_ylabel(f"example {rank}", fontsize=8)
    text = (
        f"First row: an image made for each filter of {layer.name} by gradient ascent on its response in the "
        f"middle. Below: the {found.places.shape[1]} of {len(examples):,} test images with its strongest responses."
    )
    alt = "Responses to the strongest example: " + ", ".join(
        f"filter {number} {responses[0]:.3g}" for number, responses in zip(numbers, found.responses, strict=True)
    )
    return [*sections, Section("exciting", "What excites the filters", text, figure, alt=f"{alt}.")]
