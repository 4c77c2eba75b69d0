"""The sections of the report for each task: which plots and tables show what a model does on the test rows."""

from collections.abc import Callable

import numpy as np
from matplotlib.figure import Figure
from sklearn.calibration import calibration_curve
from sklearn.metrics import ConfusionMatrixDisplay, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as confusion

from kerasfound.bundle import Schema
from kerasfound.data import Split
from kerasfound.preprocessing import decode_row
from kerasfound.preprocessing.cell_texts import describe_column

from .report import Section
from .run import Run
from .task_metrics import negative_log_likelihood

WORST = 24
"""Number of mistakes in the report, those with the lowest probability of the true class."""
LAST_WORDS = 80
"""Words of a misclassified text in the report."""
LABEL_CHARACTERS = 20
"""Longest name of a class in the confusion matrix."""
COUNTED_CLASSES = 25
"""Largest number of classes with a number in each cell of the confusion matrix."""
WINDOWS = 12
"""Windows of a text in the report."""


def image_sections(test: Split, probabilities: np.ndarray, run: Run) -> list[Section]:
    """Confusion matrix and worst mistakes of an image classifier."""
    labels = run.schema.labels
    return [*confusion_sections(test.y, probabilities, labels), mistaken_images_section(test, probabilities, labels)]


def text_sections(test: Split, probabilities: np.ndarray, run: Run) -> list[Section]:
    """Confusion, calibration, accuracy by length, and the ends of the worst misclassified texts."""
    tokenizer = run.tokenizer
    words = (test.x > 0).sum(axis=1)
    correct = probabilities.argmax(-1) == test.y

    def last_words(i: int) -> tuple[str, ...]:
        ids = test.x[i, max(0, words[i] - LAST_WORDS) : words[i]].tolist()
        text = tokenizer.decode(ids, skip_special_tokens=False)
        return (f"… {text}" if words[i] > LAST_WORDS else text,)

    return [
        *confusion_sections(test.y, probabilities, run.schema.labels),
        calibration_section(test.y, probabilities),
        Section(
            "length",
            "Short and long texts",
            "Accuracy in ten equally large groups of test texts, by number of words after truncation.",
            accuracy_by_length(words, correct),
        ),
        mistakes_section(
            test.y, probabilities, run.schema.labels, ("end of the text, as the model reads it",), last_words
        ),
    ]


def language_model_sections(test: Split, logits: np.ndarray, run: Run) -> list[Section]:
    """How the context lowers the cross-entropy, and the negative log-likelihood of each character in some windows."""
    nats = negative_log_likelihood(logits, test.y)
    return [
        Section(
            "context",
            "Cross-entropy by position",
            "Cross-entropy of a character by its position in the window. Later positions have more context.",
            cross_entropy_by_position(nats),
        ),
        Section(
            "negative_log_likelihood",
            "Negative log-likelihood of each character",
            "The first windows of the test split. A darker character was less probable under the model.",
            character_likelihoods(test, nats, run.schema.labels),
        ),
    ]


def table_classification_sections(test: Split, probabilities: np.ndarray, run: Run) -> list[Section]:
    """Confusion, calibration, the worst misclassified rows, and the columns of the table."""
    schema = run.schema

    def cells(i: int) -> tuple[str, ...]:
        return tuple(decode_row(schema.columns, test.x[i]))

    return [
        *confusion_sections(test.y, probabilities, schema.labels),
        calibration_section(test.y, probabilities),
        mistakes_section(test.y, probabilities, schema.labels, input_columns(schema), cells),
        columns_section(schema),
    ]


def table_regression_sections(test: Split, outputs: np.ndarray, run: Run) -> list[Section]:
    """Predicted against true values, the rows with the largest errors, and the columns of the table."""
    schema = run.schema
    worst = np.argsort(-np.abs(outputs[:, 0] - test.y))[:WORST]
    rows = [(f"{test.y[i]:g}", f"{outputs[i, 0]:g}", *decode_row(schema.columns, test.x[i])) for i in worst]
    return [
        Section(
            "scatter",
            "Predicted against true",
            f"{schema.target} of the test rows. Predictions on the diagonal are exact.",
            scatter(test.y, outputs[:, 0]),
        ),
        Section(
            "mistakes",
            "The worst mistakes",
            "The test rows with the largest differences.",
            table=[("true", "predicted", *input_columns(schema)), *rows],
        ),
        columns_section(schema),
    ]


def confusion_sections(truth: np.ndarray, probabilities: np.ndarray, labels: tuple[str, ...]) -> list[Section]:
    """How often each class was predicted for each true class, and the scores of each class."""
    text = "Test rows by true class (rows) and predicted class (columns)."
    predicted = probabilities.argmax(-1)
    sections = [Section("confusion", "Confusion matrix", text, confusion_matrix(truth, predicted, labels))]
    if len(labels) > 2:
        sections.append(classes_section(truth, predicted, labels))
    return sections


def confusion_matrix(truth: np.ndarray, predicted: np.ndarray, labels: tuple[str, ...]) -> Figure:
    """A matrix that grows with the number of classes. Long names are shortened, and turned where they would overlap."""
    names = [shortened(label) for label in labels]
    side = float(np.clip(2 + 0.42 * len(labels), 4.5, 11))
    name_width, cell_width = 0.09 * max(map(len, names)), 0.7 * side / len(labels)  # inches
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.subplots()
    ConfusionMatrixDisplay.from_predictions(
        truth,
        predicted,
        labels=np.arange(len(labels)),
        display_labels=[name.replace("$", r"\$") for name in names],
        include_values=len(labels) <= COUNTED_CLASSES,
        xticks_rotation=90 if name_width > cell_width else 0,
        cmap="Blues",
        colorbar=len(labels) > COUNTED_CLASSES,
        ax=axes,
    )
    axes.tick_params(labelsize=min(10, 400 / len(labels)))
    axes.spines[:].set_visible(True)
    return figure


def shortened(label: str) -> str:
    """A label without its middle if it is long: similar names often differ at the end.

    Example:
        >>> shortened("Oncorhynchus mykiss aguabonita")
        'Oncorhynchus…abonita'
    """
    return label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 8]}…{label[-7:]}"


def classes_section(truth: np.ndarray, predicted: np.ndarray, labels: tuple[str, ...]) -> Section:
    """Precision, recall and F1 of each class, and the class that it is most often taken for."""
    classes = np.arange(len(labels))
    scores = zip(*precision_recall_fscore_support(truth, predicted, labels=classes, zero_division=0), strict=True)
    errors = confusion(truth, predicted, labels=classes)
    np.fill_diagonal(errors, 0)
    rows = [
        (
            labels[i],
            *(f"{score:.3f}" for score in (precision, recall, f1)),
            f"{int(count):,}",
            f"{labels[errors[i].argmax()]} ({errors[i].max():,})" if errors[i].any() else "",
        )
        for i, (precision, recall, f1, count) in enumerate(scores)
    ]
    head = ("class", "precision", "recall", "F1", "test rows", "most often taken for")
    return Section("classes", "Classes", "The scores of each class on the test rows.", table=[head, *rows])


def calibration_section(truth: np.ndarray, probabilities: np.ndarray) -> Section:
    """Whether the predicted probabilities are as high as the accuracy."""
    text = "Accuracy by predicted probability. On the diagonal, the probabilities are as high as the accuracy."
    return Section("calibration", "Calibration", text, calibration(truth, probabilities))


def mistakes_section(
    truth: np.ndarray,
    probabilities: np.ndarray,
    labels: tuple[str, ...],
    head: tuple[str, ...],
    cells: Callable[[int], tuple[str, ...]],
) -> Section:
    """A table of the misclassified rows with the lowest probability of the true class.

    Args:
        truth: the true class of each row.
        probabilities: the predicted probabilities, `(rows, classes)`.
        labels: the names of the classes.
        head: the names of the columns that show the row.
        cells: returns the cells under `head` for the number of a row.
    """
    wrong = worst_first(truth, probabilities)
    if not len(wrong):
        return Section("mistakes", "The worst mistakes", f"No row of {len(truth):,} is misclassified.")
    predicted = probabilities.argmax(-1)
    text = (
        f"{len(wrong):,} of {len(truth):,} test rows are misclassified. Those with the lowest probability of the true "
        "class are shown."
    )
    rows = [
        (labels[truth[i]], f"{labels[predicted[i]]} ({probabilities[i, predicted[i]]:.0%})", *cells(i))
        for i in wrong[:WORST]
    ]
    return Section("mistakes", "The worst mistakes", text, table=[("true", "predicted", *head), *rows])


def columns_section(schema: Schema) -> Section:
    """The type of each column of the table."""
    head = ("column", "type", "missing", "distinct")
    rows = [(c.name, describe_column(c), f"{c.missing:,}", f"{c.distinct:,}") for c in schema.columns]
    return Section("columns", "The data", "The columns with their inferred types, over all rows.", table=[head, *rows])


def input_columns(schema: Schema) -> tuple[str, ...]:
    """The names of the columns that the model reads."""
    return tuple(column.name for column in schema.columns if column.width)


def worst_first(truth: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """The misclassified rows, ordered by the probability of the true class, the lowest first."""
    wrong = np.flatnonzero(probabilities.argmax(-1) != truth)
    return wrong[np.argsort(probabilities[wrong, truth[wrong]])]


def mistaken_images_section(test: Split, probabilities: np.ndarray, labels: tuple[str, ...]) -> Section:
    """The misclassified images with the lowest probability of the true class."""
    wrong = worst_first(test.y, probabilities)
    if not len(wrong):
        return Section("mistakes", "The worst mistakes", f"No image of {len(test.y):,} is misclassified.")
    text = (
        f"{len(wrong):,} of {len(test.y):,} test images are misclassified. Those with the lowest probability of the "
        "true class are shown: true class → predicted class (its probability)."
    )
    figure = misclassified_images(test, probabilities, wrong[:WORST], labels)
    return Section("mistakes", "The worst mistakes", text, figure)


def misclassified_images(test: Split, probabilities: np.ndarray, worst: np.ndarray, labels: tuple[str, ...]) -> Figure:
    """Misclassified images, each with the title `true → predicted (probability)`."""
    predicted = probabilities.argmax(-1)
    lines, columns = (1, 8) if max(map(len, labels)) <= 2 else (3, 6)
    rows = max(1, -(-len(worst) // columns))
    figure = Figure(figsize=(9.2, rows * (9 / columns + 0.15 * lines)), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, i in zip(grid, worst, strict=False):
        axes.imshow(test.x[i].squeeze(), cmap="gray", vmin=0, vmax=255)
        words = [shortened(labels[test.y[i]]), f"→ {shortened(labels[predicted[i]])}"]
        title = (" " if lines == 1 else "\n").join([*words, f"({probabilities[i, predicted[i]]:.0%})"])
        axes.set_title(title.replace("$", r"\$"), fontsize=8 if lines == 1 else 6)
    return figure


def cross_entropy_by_position(nats: np.ndarray) -> Figure:
    """Mean cross-entropy of each position over all windows, `(windows, time)`."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot(np.arange(1, nats.shape[1] + 1), nats.mean(axis=0))
    axes.set(xlabel="characters of context", ylabel="nats a character")
    return figure


def character_likelihoods(test: Split, nats: np.ndarray, labels: tuple[str, ...]) -> Figure:
    """The targets of the first windows; the background of each character shows its negative log-likelihood."""
    rows = min(WINDOWS, len(nats))
    figure = Figure(figsize=(9, 0.28 * rows), layout="constrained")
    axes = figure.subplots()
    axes.imshow(nats[:rows], cmap="Oranges", vmin=0, vmax=8, aspect="auto")
    for (row, column), target in np.ndenumerate(test.y[:rows]):
        character = labels[target].replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}").replace("$", r"\$")
        axes.text(column, row, character, ha="center", va="center", fontsize=6, family="monospace")
    axes.axis("off")
    return figure


def accuracy_by_length(words: np.ndarray, correct: np.ndarray) -> Figure:
    """Accuracy by the mean length of each group of texts."""
    groups = [group for group in np.array_split(np.argsort(words, kind="stable"), 10) if len(group)]
    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    axes.plot([words[g].mean() for g in groups], [correct[g].mean() for g in groups], marker="o", markersize=4)
    axes.set(xlabel="words", ylabel="accuracy")
    return figure


def calibration(truth: np.ndarray, probabilities: np.ndarray) -> Figure:
    """Accuracy in equally large groups of rows, by the mean probability of the predicted class."""
    correct = probabilities.argmax(-1) == truth
    accuracy, confidence = calibration_curve(correct, probabilities.max(-1).clip(0, 1), n_bins=10, strategy="quantile")
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.plot(confidence, accuracy, marker="o", markersize=4)
    low = min(confidence.min(), accuracy.min(), 0.9)
    axes.set(xlabel="predicted probability", ylabel="accuracy", xlim=(low, 1.01), ylim=(low, 1.01))
    return figure


def scatter(truth: np.ndarray, predicted: np.ndarray) -> Figure:
    """True and predicted value of at most 5,000 rows, one point for each."""
    sample = np.random.default_rng(0).permutation(len(truth))[:5_000]
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    ends = [min(truth.min(), predicted.min()), max(truth.max(), predicted.max())]
    axes.plot(ends, ends, color="0.7", linewidth=1)
    axes.scatter(truth[sample], predicted[sample], s=6, alpha=0.4, linewidths=0, rasterized=True)
    axes.set(xlabel="true", ylabel="predicted")
    return figure
