"""What each verb does. A function's signature is the command's arguments, its docstring the help."""

import dataclasses
import functools
import importlib
import json as json_lines
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import yaml
from cyclopts import App, ArgumentCollection, Parameter
from cyclopts.config import Dict
from rich.console import Console
from rich.table import Table

import kerasfound
from kerasfound import recipes
from kerasfound.errors import UserError
from kerasfound.serving import serve

from . import startup
from .output import show_run, show_verification

if TYPE_CHECKING:
    pass

Switch = Parameter(negative="")
CONFIG_HELP = "A YAML file of settings, as --print-config shows them; flags win over it."
PRINT_CONFIG_HELP = "Show the settings as a --config file would hold them, and stop."

app = App(
    name="kerasfound",
    help="Deep learning from the formula to the endpoint: train, evaluate, export, verify, serve.",
    version=kerasfound.__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # main says that it was stopped
)

run = App(name="run", help="Train a recipe; every setting of its Config is a flag.")
app.command(run)


@app.command(name="list")
def list_(what: Literal["recipes", "data", "blocks"] | None = None) -> None:
    """Show the recipes and the named data sets, or the blocks of the theory, one line each.

    Args:
        what: only these; recipes and data when left out.
    """
    if what == "blocks":
        startup.start()
        from kerasfound.reference.catalog import blocks

        for block in blocks():
            print(f"{block.kind:<12}{block.name:<30}{block.summary.replace('$', '')}")
        return

    from kerasfound.data import SOURCES, TABLES

    if what != "data":
        for name in recipes.NAMES:
            print(f"recipe  {name:<18}{_summary(name)}")
    if what != "recipes":
        summaries = {name: source.summary for name, source in (SOURCES | TABLES).items()}
        for name, summary in summaries.items():
            print(f"data    {name:<18}{summary}")


@app.command
def explain(name: str, /, plot: Path | None = None) -> None:
    """Show a block's formula, derivative, arguments, practice, source and code.

    Args:
        name: an activation, loss, initializer, schedule, layer or optimizer, as `kerasfound list blocks` shows them.
        plot: also draw it into this file, a .png or a .svg.
    """
    startup.start()
    explanation = kerasfound.explain(name)
    if plot is not None:
        explanation.plot(plot)
        print(f"picture: {plot}\n")
    print(explanation, end="")


@app.command
def resume(run: Path, /, data_dir: str | None = None) -> None:
    """Go on with a run that was stopped, from its last whole epoch, with the settings that it began with.

    Args:
        run: a run folder.
        data_dir: a folder of prepared TFDS data, if it is elsewhere now.
    """
    reopened = kerasfound.training.Run.reopen(run)
    startup.start(reopened.settings["backend"], reopened.settings["device"])
    recipe = importlib.import_module(f"kerasfound.recipes.{reopened.recipe}")
    show_run(kerasfound.training.resume(recipe, reopened, data_dir))


@app.command
def evaluate(run: Path, /, split: Literal["test", "validation"] = "test", data_dir: str | None = None) -> None:
    """Measure a finished run again, on the data it was trained with.

    Args:
        run: a run folder.
        split: the rows to measure on.
        data_dir: a folder of prepared TFDS data, as for `run`.
    """
    opened = kerasfound.training.Run.open(run)
    startup.start(opened.settings["backend"])
    numbers = kerasfound.training.evaluate(opened, split, data_dir)
    print(json_lines.dumps({"split": split, **numbers}))


@app.command
def compare(*runs: Path, out: Path = Path("compare.html")) -> None:
    """Put finished runs side by side: what was set differently, what each reached, and their curves on one page.

    Args:
        runs: two or more run folders.
        out: the page to write.
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
def predict(run: Path, /, *files: Path, text: list[str] | None = None, json: Annotated[bool, Switch] = False) -> None:
    """Answer image files, texts, or every row of tables, with a finished run.

    Args:
        run: a run folder.
        files: images (digits are light on dark, as in the data), text files, or CSV or Parquet tables with the run's
            columns.
        text: a text itself, for a classifier of texts; may be given several times.
        json: print one JSON object a line, with every label's probability.
    """
    opened = kerasfound.training.Run.open(run)
    startup.start(opened.settings["backend"])
    for answer in kerasfound.training.predict(opened, list(files), text or []):
        line = json_lines.dumps(dataclasses.asdict(answer))
        print(line if json else answer)


@app.command
def generate(
    run: Path,
    /,
    prompt: str = "\n",
    *,
    length: int = 500,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    seed: int = 0,
) -> None:
    """Go on with a text, character by character, with a finished run of mini_transformer.

    Args:
        run: a run folder.
        prompt: the text to go on from; a new line when left out.
        length: characters to add.
        temperature: below 1 safer, above 1 wilder, 0 always the likeliest character.
        top_k: draw from this many of the likeliest characters only.
        top_p: draw from the likeliest characters that together have at least this probability.
        seed: of the draws.
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
        source: the folder of a finished run, or a .keras file.
        to: the model repository, a folder with one sub-folder per model.
        name: the model's name. Defaults to the recipe's or the file's.
        labels: a text file of the classes that a .keras file tells apart, one on a line; a run has its own.
        tolerance: the largest difference allowed, times one plus the largest number of an answer; 1e-5 for float32.
        opset: the version of ONNX's operators; 18, but 20 for a table's dates, and 23 for attention that writes texts.
        quantize: int8 also writes model.int8.onnx, refused if it loses more than half a point on the run's test rows.
        data_dir: a folder of prepared TFDS data, to measure that on, if it is elsewhere now.
    """
    opened = source if source.is_file() or source.suffix == ".keras" else kerasfound.training.Run.open(source)
    named = lines(labels) if labels else []
    startup.start("tensorflow")  # writes the SavedModel, whatever backend trained
    bundle = kerasfound.export.bundle(
        opened,
        to,
        name,
        options=kerasfound.export.ExportOptions(opset=opset, tolerance=tolerance),
        labels=named,
        quantize=quantize,
        data_dir=data_dir,
    )
    manifest = kerasfound.bundle.manifest.read(bundle / "manifest.json")
    if smaller := manifest.quantization:
        print(
            f"int8 ({smaller.scheme}): {smaller.metric} {smaller.score_after:.4f} instead of "
            f"{smaller.score_before:.4f} on {smaller.rows} test rows, "
            f"{smaller.bytes_after / smaller.bytes_before:.2f} times the bytes, "
            f"{smaller.milliseconds_after / smaller.milliseconds_before:.2f} times the time of one row"
        )
    show_verification(bundle, manifest.verification)
    print(f"next: kerasfound serve {to}")


@app.command
def verify(bundle: Path, /, model: Path | None = None) -> None:
    """Prove a bundle again: sha256 sums, then both model files against the trained model's recorded answers.

    Args:
        bundle: a version folder, such as models/mnist_cnn/1, or a model folder for its newest version; with --model
            also an .onnx file or the folder of a SavedModel.
        model: a .keras file to ask instead of the recorded answers.
    """
    if model is None:
        checks = kerasfound.export.verify(bundle)
        show_verification(kerasfound.bundle.version_folder(bundle), checks)
        return
    startup.start("tensorflow")
    show_verification(bundle, kerasfound.export.verify(bundle, kerasfound.export.load(model)))


app.command(serve)


@app.command
def doctor() -> None:
    """Show versions, backends, devices and data, what is missing, and the command that mends it."""
    from . import doctor

    doctor.report()


@app.command
def demo() -> None:
    """Train on the built-in digits, export, verify, serve and ask, in about a minute; writes runs/ and models/."""
    startup.start("tensorflow")
    from . import demo

    demo.play()


def _recipe(name: str) -> App:
    """`kerasfound run NAME`: the recipe's Config as flags, over those of a --config file."""
    recipe = importlib.import_module(f"kerasfound.recipes.{name}")
    preset_help = f"Start from other defaults: {', '.join(recipe.Config.PRESETS)}. --config and flags win over it."
    preset = functools.partial(_preset, recipe.Config.PRESETS)
    flags = App(name=name, help=recipe.__doc__, help_format="plaintext", config=[_settings_file, preset])
    settings = Annotated[recipe.Config, Parameter(name="*")]  # type: ignore[name-defined]

    @flags.default
    def train(
        settings: settings = recipe.Config(),  # type: ignore[valid-type]  # noqa: B008
        *,
        preset: Annotated[str | None, Parameter(help=preset_help)] = None,
        config: Annotated[Path | None, Parameter(help=CONFIG_HELP)] = None,
        print_config: Annotated[bool, Switch, Parameter(help=PRINT_CONFIG_HELP)] = False,
    ) -> None:
        if print_config:
            print(settings.to_yaml(), end="")
            return
        startup.start(settings.backend, settings.device)
        show_run(kerasfound.training.execute(recipe, settings))

    return flags


def _given(arguments: ArgumentCollection, flag: str) -> list[str]:
    return [token.value for argument in arguments if argument.name == flag for token in argument.tokens]


def _preset(
    presets: dict[str, dict[str, Any]], flags: App, commands: tuple[str, ...], arguments: ArgumentCollection
) -> None:
    """Let cyclopts read the preset's settings, where neither a flag nor the --config file has set them."""
    for name in _given(arguments, "--preset"):
        if name not in presets:
            raise UserError(f"--preset {name}: there is no such preset; there is {', '.join(presets)}.")
        Dict(presets[name], source=name, use_commands_as_keys=False)(flags, commands, arguments)


def _settings_file(flags: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Let cyclopts read the --config file, when there is one, as settings that flags win over."""
    for file in _given(arguments, "--config"):
        if not Path(file).is_file():
            raise UserError(f"--config {file}: no such file; --print-config shows what one holds.")
        try:
            settings = yaml.safe_load(Path(file).read_text())
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise UserError(f"--config {file}: cannot be read as YAML ({error}).") from error
        if not isinstance(settings, dict):
            raise UserError(f"--config {file}: expected lines of `name: value`, as --print-config shows them.")
        Dict(settings, source=file, use_commands_as_keys=False)(flags, commands, arguments)


for recipe_name in recipes.NAMES:
    run.command(_recipe(recipe_name), name=recipe_name)


def _summary(recipe: str) -> str:
    return (importlib.import_module(f"kerasfound.recipes.{recipe}").__doc__ or "").splitlines()[0]


def lines(file: Path) -> list[str]:
    """The lines of a text file, without those that are empty."""
    try:
        return [line.strip() for line in file.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: cannot be read as text ({error}); give a label on each line.") from error
