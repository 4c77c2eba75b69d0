"""The commands of `kerasfound`. A function's signature defines the arguments of a command, its docstring the help."""

import dataclasses
import importlib
import json as json_lines
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

import kerasfound
from kerasfound import recipes
from kerasfound.export.keras_archive import is_model_file
from kerasfound.reference import ideas, names
from kerasfound.serving import serve
from kerasfound.wording import counted

from . import startup
from .output import show_quantization, show_run, show_scores, show_verdict, show_verification
from .recipe_commands import Switch, recipe_command, recipe_summary

if TYPE_CHECKING:
    from kerasfound.reference.explanation import Explanation

app = App(
    name="kerasfound",
    help="Deep learning from the formula to the endpoint: train, evaluate, export, verify, serve.",
    version=kerasfound.__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # main prints the message
)

run = App(name="run", help="Train a recipe. Every setting of its Config is a flag.")
app.command(run)
app.command(
    "kerasfound.cli.lab_commands:labs_app",
    name="lab",
    help="Test a claim of introductory deep learning by an experiment.",
)
app.command(
    "kerasfound.cli.interpret_command:interpret_app",
    name="interpret",
    help="Show why a model predicts what it does, on a self-contained page.",
)


@app.command(name="list")
def list_(what: Literal["recipes", "data", "blocks", "ideas", "runs"] | None = None) -> None:
    """List the recipes and the named data sets, or the blocks, the ideas, or the runs in runs/, one line each.

    Args:
        what: list only these. The default is recipes and data.
    """
    if what == "blocks":
        startup.start_without_training()
        from kerasfound.reference.catalog import blocks

        for block in blocks():
            print(f"{block.kind:<12}{block.name:<30}{block.summary.replace('$', '')}")
        return

    if what == "ideas":
        for idea in ideas.ideas():
            print(f"{idea.name:<32}{len(idea.labs)} labs, {len(idea.blocks)} blocks")
        return

    if what == "runs":
        for run in sorted(Path("runs").glob("*/*")):
            if (run / "model.keras").is_file() and not run.is_symlink():
                show_scores(kerasfound.training.Run.open(run))
        return

    from kerasfound.data import SOURCES, TABLES

    if what != "data":
        for name in recipes.NAMES:
            print(f"recipe  {name:<18}{recipe_summary(name)}")
    if what != "recipes":
        summaries = {name: source.summary for name, source in (SOURCES | TABLES).items()}
        for name, summary in summaries.items():
            print(f"data    {name:<18}{summary}")


@app.command
def explain(name: str, /, plot: Path | None = None) -> None:
    """Show a block's formula, derivative, arguments, practical advice, source and code; or an idea with its labs.

    Args:
        name: an activation, loss, initializer, schedule, layer or optimizer (`kerasfound list blocks`), an idea such
            as overfitting (`kerasfound list ideas`), or a lab.
        plot: also write a plot of a block to this .png or .svg file.
    """
    explanation: Explanation | ideas.Idea
    if names.is_block(name):
        startup.start_without_training() if plot is None else startup.start()
        explanation = kerasfound.explain(name)
    else:
        explanation = ideas.find(name)
    if plot is not None:
        explanation.plot(plot)
        print(f"plot: {plot}\n")
    print(explanation, end="")


@app.command
def resume(run: Path, /, data_dir: str | None = None) -> None:
    """Continue a stopped run after its last complete epoch, with its own settings.

    Args:
        run: a run folder.
        data_dir: the folder of prepared TFDS data, if it has moved.
    """
    reopened = kerasfound.training.Run.reopen(run)
    startup.start(reopened.settings["backend"], reopened.settings["device"])
    recipe = importlib.import_module(f"kerasfound.recipes.{reopened.recipe}")
    show_run(kerasfound.training.resume(recipe, reopened, data_dir))


@app.command
def evaluate(run: Path, /, split: Literal["test", "validation"] = "test", data_dir: str | None = None) -> None:
    """Compute the metrics of a finished run again, on the data set of its training.

    Args:
        run: a run folder.
        split: the rows to evaluate on.
        data_dir: a folder of prepared TFDS data, as for `run`.
    """
    opened = kerasfound.training.Run.open(run)
    startup.start(opened.settings["backend"])
    metrics = kerasfound.training.evaluate(opened, split, data_dir)
    print(json_lines.dumps({"split": split, **metrics}))


@app.command
def compare(*runs: Path, out: Path = Path("compare.html")) -> None:
    """Compare finished runs: the settings that differ, the test metrics, and a page with the learning curves.

    Args:
        runs: two or more run folders.
        out: the HTML page to write.
    """
    opened = [kerasfound.training.Run.open(run) for run in runs]
    startup.start()
    rows = kerasfound.training.compare(opened)
    table = Table("", *(run.folder.name for run in opened), box=None)
    for name, values in rows.items():
        table.add_row(name.replace("_", " "), *("" if value is None else str(value) for value in values))
    Console(highlight=False).print(table)
    kerasfound.training.run_comparison.write(opened, out)
    print(f"page: {out}")


@app.command
def predict(
    run: Path,
    /,
    *files: Path,
    text: list[str] | None = None,
    json: Annotated[bool, Switch] = False,
    out: Path | None = None,
) -> None:
    """Predict with a finished run, for image files, texts, or every row of tables.

    Args:
        run: a run folder.
        files: folders, images (digits must be light on dark, like the training data), text files, or CSV or Parquet
            tables with the columns of the training.
        text: a text, for a text classifier. May be repeated.
        json: print one JSON object per line, with the probabilities of all labels.
        out: write the predictions with the probabilities of all labels to this .csv or .json file instead.
    """
    from kerasfound.training import prediction_files

    opened = kerasfound.training.Run.open(run)
    if out:
        prediction_files.check_out(out)
    startup.start(opened.settings["backend"])
    predictions = kerasfound.training.predict(opened, list(files), text or [])
    if out:
        prediction_files.write(predictions, out)
        print(f"{counted(len(predictions), 'prediction')}: {out}")
        return
    for prediction in predictions:
        print(json_lines.dumps(dataclasses.asdict(prediction)) if json else prediction)


@app.command
def generate(
    run: Path,
    /,
    prompt: Annotated[str, Parameter(show_default=repr)] = "\n",
    *,
    length: int = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> None:
    """Continue a prompt, character by character, with a finished run of mini_transformer.

    Args:
        run: a run folder.
        prompt: the text to continue. The default is a line break.
        length: number of characters to generate.
        temperature: below 1 more predictable, above 1 more random, 0 always the most probable character.
        top_k: sample from this many most probable characters only.
        top_p: sample from the smallest set of most probable characters with at least this total probability.
        seed: seed of the sampling.
    """
    opened = kerasfound.training.Run.open(run)
    startup.start(opened.settings["backend"], opened.settings["device"])
    text = kerasfound.training.generate(opened, prompt, length, temperature, top_k, top_p, seed)
    print(prompt, end="", flush=True)
    for character in text:
        print(character, end="", flush=True)
    print()


@app.command
def export(
    source: Path,
    /,
    *,
    to: Path = Path("models"),
    name: str | None = None,
    labels: Path | None = None,
    tolerance: float | None = None,
    opset: int | None = None,
    quantize: Literal["int8"] | None = None,
    data_dir: str | None = None,
) -> None:
    """Write a verified bundle (SavedModel, ONNX, manifest) of a trained model, as the next version of its name.

    Args:
        source: the folder of a finished run, or a .keras or .h5 file.
        to: the model repository, a folder with one sub-folder per model.
        name: the model's name. Defaults to the recipe's or the file's.
        labels: a text file with the class names of a .keras file, one per line. A run has its own labels.
        tolerance: the largest allowed difference, relative to the output or to the usual size of its column. Defaults
            to 1e-5 for float32.
        opset: the version of the ONNX operators. Defaults to 18, to 20 for tables with dates, and to 23 for text
            generation.
        quantize: int8 also writes model.int8.onnx. It is rejected if it loses more than half a percentage point on the
            test rows of the run.
        data_dir: the folder of prepared TFDS data for this test, if it has moved.
    """
    opened = source if is_model_file(source) else kerasfound.training.Run.open(source)
    names = read_lines(labels) if labels else []
    startup.start_to_export()
    bundle = kerasfound.export.bundle(
        opened,
        to,
        name,
        options=kerasfound.export.ExportOptions(opset=opset, tolerance=tolerance),
        labels=names,
        quantize=quantize,
        data_dir=data_dir,
    )
    manifest = kerasfound.bundle.manifest.read(bundle / "manifest.json")
    if manifest.quantization:
        show_quantization(manifest.quantization)
    show_verification(bundle, manifest.verification)
    if manifest.baseline:
        show_verdict(manifest.baseline)
    print(f"next: kerasfound serve {to}")


@app.command
def verify(bundle: Path, /, model: Path | None = None) -> None:
    """Verify a bundle: its sha256 checksums, and both model files against the recorded outputs of the trained model.

    Args:
        bundle: a version folder, such as models/mnist_cnn/1, or a model folder for its newest version. With --model
            also an .onnx file or the folder of a SavedModel.
        model: a .keras file to compare with, instead of the recorded outputs.
    """
    if model is None:
        checks, folder = kerasfound.export.verify(bundle), kerasfound.bundle.version_folder(bundle)
        exported = kerasfound.bundle.manifest.read(folder / "manifest.json").verification
        verified = {check.format for check in checks}
        show_verification(folder, checks, [record.format for record in exported if record.format not in verified])
        return
    startup.start_to_export()
    show_verification(bundle, kerasfound.export.verify(bundle, kerasfound.export.load(model)))


app.command(serve)


@app.command
def doctor() -> None:
    """Show versions, backends, devices and data, and how to fix what is missing."""
    from . import doctor

    doctor.report()


@app.command
def demo() -> None:
    """Train on the built-in digits, export, verify and serve, in about a minute. Writes runs/ and models/."""
    startup.start("tensorflow")
    from . import demo

    demo.run_demo()


def read_lines(file: Path) -> list[str]:
    """The non-empty lines of a text file."""
    from kerasfound.data.text_encoding import read_text_file

    text, remark = read_text_file(file)
    if remark:
        print(f"{file}: {remark}")
    return [line.strip() for line in text.splitlines() if line.strip()]


for recipe_name in recipes.NAMES:
    run.command(recipe_command(recipe_name), name=recipe_name)
