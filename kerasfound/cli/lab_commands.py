"""`kerasfound lab`: a command for each lab, with a flag for each knob."""

import inspect
import typing
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from kerasfound import labs
from kerasfound._stderr import stderr_only_on_error
from kerasfound.labs import gallery
from kerasfound.labs.experiment import Lab

from . import startup

labs_app = App(name="lab", help="Test a claim of introductory deep learning by an experiment.")
BACKEND_HELP = "The Keras backend: tensorflow or jax. Defaults to the variable KERAS_BACKEND, then to tensorflow."
OUT_HELP = "Also write the figure (.svg, .png) and the data (.json) to this folder."


@labs_app.command(name="list")
def list_() -> None:
    """List the labs in the order of the course, with their claims."""
    for chapter, names in labs.COURSE.items():
        print(chapter)
        for name in names:
            print(f"  {name.replace('_', '-'):<28}{labs.find(name).claim}")


@labs_app.command(name="all")
def all_(out: Path, only: str | None = None, backend: str | None = None) -> None:
    """Run all labs with their defaults; one line for each with its verdict, and a page with all results.

    Args:
        out: the folder for the page, the figures and the data.
        only: the name of a chapter: run its labs only.
        backend: the Keras backend, tensorflow or jax.
    """
    names = labs.names_of(only)
    startup.start(backend)
    results = []
    for name in names:
        with stderr_only_on_error():  # TensorFlow warns that each lab compiles its own functions
            result = labs.find(name)()
        result.save(out)
        results.append(result)
        print(f"{name.replace('_', '-'):<28}{result.seconds:5.0f} s  {result.verdict}", flush=True)
    print(f"page: {gallery.write(results, out)}")


def lab_command(lab: Lab) -> App:
    """The command `kerasfound lab NAME`, with the knobs of the lab as flags."""
    idea, _, rest = inspect.cleandoc(lab.__doc__ or "").partition("\n")
    advice = rest.partition("\nTry: ")[2].partition("\n\n")[0]
    text = f"Claim: {lab.claim} ({lab.who}).\n\n{idea}\n\nTry: {' '.join(advice.split())}"
    app = App(name=lab.name.replace("_", "-"), help=text, help_format="plaintext")

    def run(*, out: Path | None = None, backend: str | None = None, **knobs: Any) -> None:
        startup.start(backend)
        with stderr_only_on_error():
            result = lab(**knobs)
        print(result)
        if out:
            print(f"figure and data: {result.save(out).with_suffix('')}.svg, .png, .json")

    hints = typing.get_type_hints(lab.function, include_extras=True)
    knobs = [
        parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(lab.function).parameters.items()
    ]
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in (
            ("out", Annotated[Path | None, Parameter(help=OUT_HELP)]),
            ("backend", Annotated[str | None, Parameter(help=BACKEND_HELP)]),
        )
    ]
    run.__doc__ = lab.__doc__
    run.__signature__ = inspect.Signature([*knobs, *options])  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in [*knobs, *options]}
    app.default(run)
    return app


for name in labs.CHAPTERS:
    labs_app.command(lab_command(labs.find(name)))
