"""The report: baselines, advice, thresholds, plots of many classes, and a page that fits a phone."""

import itertools
import re
import shutil

import msgspec
import numpy as np
import pytest

from kerasfound.bundle import Schema
from kerasfound.bundle.manifest import Baseline
from kerasfound.data import Dataset, Split
from kerasfound.training import Config, Run, advice, evaluation, report, report_sections, thresholds

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
MANY = tuple(f"Species with a long name, number {i}" for i in range(40))


def write_report(folder, labels, epochs):
    """The report of a run without a model: images of all classes, predicted with some errors."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, len(labels), 300)
    probabilities = rng.dirichlet(np.ones(len(labels)), 300) * 0.6
    probabilities[np.arange(300), y] += 0.4
    rows = Split(rng.integers(0, 255, (300, 8, 8, 1)).astype("uint8"), y)
    source = "/home/somebody/a_long_path_without_spaces/of_folders_in_folders/and_more_of_them/pictures"
    schema = Schema("image_classification", "image", (8, 8, 1), labels)
    run = Run.create("mnist_cnn", Config(out=str(folder), epochs=epochs))
    run.start(Dataset("pictures", source, "0" * 64, rows, rows, rows, schema), Config(epochs=epochs))
    for epoch in range(1, epochs + 1):
        run.log({"epoch": epoch, "accuracy": 0.5, "loss": 1 / epoch, "val_accuracy": 0.5, "val_loss": abs(epoch - 3)})
    decisions = None
    if len(labels) == 2:
        chosen = thresholds.choose(probabilities[:, 1], y == 1, 5.0)
        decisions = evaluation.measure_thresholds(probabilities, rows, schema, labels[1], chosen, 5.0)
    run.save_results(
        {
            "test": {"accuracy": 0.812},
            "baseline": msgspec.to_builtins(Baseline("always answering 'no'", {"accuracy": 0.803}, "not better")),
            "decisions": msgspec.to_builtins(decisions),
            "kept_epoch": run.best_epoch,
            "fit_seconds": 1.0,
            "parameters": 100,
        }
    )
    report.write(run, rows, probabilities, report_sections.image_sections)
    return run.report_file


def test_the_page_has_the_baseline_the_thresholds_and_the_kept_epoch(tmp_path):
    page = write_report(tmp_path / "run", ("no", "yes"), 5).read_text()
    assert "81.20%" in page
    assert "80.30% without a model" in page
    assert "The model is not better." in page
    assert "The weights of epoch 3 are kept." in page
    assert thresholds.SMALLEST_COST in page
    assert "A missed row costs 5, a false alarm 1" in page
    assert "always answering &#39;yes&#39;" in page


def test_long_tables_are_folded(tmp_path):
    page = write_report(tmp_path / "run", MANY, 250).read_text()
    assert "<summary>250 rows</summary>" in page
    assert "<summary>40 rows</summary>" in page
    assert "<details>" not in write_report(tmp_path / "short", ("a", "b", "c"), 5).read_text()


@pytest.mark.skipif(not CHROMIUM, reason="needs Chromium")
def test_the_page_fits_a_phone(tmp_path):
    playwright = pytest.importorskip("playwright.sync_api")
    page = write_report(tmp_path / "run", MANY, 30)
    with (
        playwright.sync_playwright() as p,
        p.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"]) as browser,
    ):
        phone = browser.new_page(viewport={"width": 375, "height": 700})
        phone.goto(page.as_uri())
        for details in phone.locator("summary").all():
            details.click()
        assert phone.evaluate("document.documentElement.scrollWidth") == 375


@pytest.mark.parametrize("labels", [("no", "yes"), ("airplane", "automobile", "domestic cat", "deer", "dog"), MANY])
def test_the_names_of_classes_do_not_overlap(labels):
    classes = np.arange(len(labels))
    matrix = report_sections.confusion_matrix(classes, classes, labels)
    images = Split(np.zeros((len(labels), 8, 8, 1)), classes)
    mistakes = report_sections.misclassified_images(images, np.eye(len(labels))[::-1], classes[:8], labels)
    for figure in (matrix, mistakes):
        figure.canvas.draw()
    (axes, *_) = matrix.axes
    titles = [cell.title for cell in mistakes.axes]
    for texts in (axes.get_xticklabels(), axes.get_yticklabels(), titles):
        boxes = [text.get_window_extent() for text in texts if text.get_text()]
        assert len(boxes) == min(len(labels), 8) if texts is titles else len(labels)
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_the_names_of_classes_stay_different_when_they_are_shortened():
    assert len({report_sections.shortened(name) for name in MANY}) == len(MANY)


def test_the_calibration_of_a_certain_model_shows_its_point():
    y = np.array([0, 1, 1, 0])
    (axes,) = report_sections.calibration(y, np.eye(2)[y]).axes
    points = axes.lines[-1].get_xydata()
    assert points.tolist() == [[1.0, 1.0]]
    assert axes.get_xlim()[0] <= 0.9


def test_a_class_is_listed_with_the_class_that_it_is_taken_for():
    section = report_sections.classes_section(np.array([0, 0, 0, 1, 2]), np.array([0, 2, 2, 1, 2]), ("a", "b", "c"))
    assert section.table[1] == ("a", "1.000", "0.333", "0.500", "3", "c (2)")
    assert section.table[2][-1] == ""


ROWS = {"train": 900, "validation": 300, "test": 300}


def advise(losses, kept, rows=ROWS, verdict="", task="tabular_classification", accuracy=0.9, **settings):
    history = [{"loss": 1 / (i + 1), "val_loss": loss} for i, loss in enumerate(losses)]
    return " ".join(advice.advise(history, kept, settings, rows, verdict, task, {"accuracy": accuracy}))


def test_overfitting_names_the_kept_epoch_and_flags_that_the_run_has():
    said = advise([0.6, 0.5, 0.55, 0.7], 2, dropout=0.1, width=32)
    assert re.search(r"After epoch 2 .*overfitting.* epoch 2 are kept.* a larger --dropout or a smaller --width", said)
    assert "--dropout" not in advise([0.6, 0.5, 0.55, 0.7], 2, units=3)


def test_underfitting_advises_more_epochs():
    assert "underfitting). Try more --epochs or a larger --width" in advise([0.9, 0.7, 0.5], 3, width=8)


def test_a_solved_task_gets_no_advice():
    assert advise([0.9, 0.7, 0.5], 3, accuracy=1.0) == ""
    assert advise([0.6, 0.5, 0.55, 0.7], 2, accuracy=0.995) == ""


@pytest.mark.parametrize(
    ("task", "inputs"),
    [("image_classification", "images"), ("text_classification", "texts"), ("tabular_regression", "columns")],
)
def test_a_model_that_is_not_better_than_its_baseline_is_not_told_to_train_longer(task, inputs):
    said = advise([0.9, 0.7, 0.5], 3, verdict="not better than the mean", task=task)
    assert f"The {inputs} may not tell the target" in said
    assert "--epochs" not in said
    assert "underfitting" not in said


@pytest.mark.parametrize("losses", [[0.5], [0.9, 0.51, 0.5, 0.5, 0.5], [0.9, 0.5, 0.501]])
def test_a_training_that_converged_gets_no_advice(losses):
    assert advise(losses, 1 + losses.index(min(losses))) == ""


def test_few_rows_and_a_weak_model_are_named():
    said = advise([0.5], 1, rows={"train": 60, "validation": 20, "test": 30}, verdict="not better than the mean")
    assert said.startswith("The model is not better than the mean.")
    assert "only 20 validation rows and 30 test rows" in said
