"""`kerasfound interpret`: why a model predicted what it did, as a page or a picture."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

import kerasfound
from kerasfound.errors import UserError
from kerasfound.export import keras_archive

from . import startup

interpret_app = App(name="interpret", help="Show why a model predicts what it does.", help_format="plaintext")


@interpret_app.default
def interpret(
    source: Path,
    /,
    *files: Path,
    text: Annotated[list[str] | None, Parameter(negative="")] = None,
    method: Annotated[list[str] | None, Parameter(negative="")] = None,
    target: str | None = None,
    layer: str | None = None,
    out: Path | None = None,
    backend: str | None = None,
    data_dir: str | None = None,
) -> None:
    """Show why a model predicts what it does, on a self-contained page.

    Args:
        source: a run folder, or a .keras or .h5 file.
        files: images, texts or tables, as for `predict`, or rows of the model's input in a .npy file. A run explains
            its first test rows by default.
        text: a text for a text classifier, or a prompt for a language model; can be given several times.
        method: a method, such as saliency, integrated_gradients, grad_cam or occlusion; can be given several times.
            Defaults to all that fit the model.
        target: the class to explain, by default the predicted one.
        layer: the layer that grad_cam looks into.
        out: a .html file for the page, or a .png or .svg file for its first figure. Defaults to interpretability.html
            in the run folder, or to a page next to the model file.
        backend: the Keras backend, tensorflow or jax. Defaults to that of the run.
        data_dir: the folder of prepared TFDS data, if it has moved since the run.
    """
    is_file = keras_archive.is_model_file(source)
    run = None if is_file else kerasfound.training.Run.open(source)
    startup.start(backend or (run.settings["backend"] if run else None))
    from kerasfound.interpretability import model_sections, page
    from kerasfound.interpretability.subject import Subject

    out = out or (run.folder / "interpretability.html" if run else source.with_suffix(".interpretability.html"))
    page.check_out(out)
    subject = Subject.of_run(run) if run else Subject(str(source), keras_archive.load(source))
    names, x = subject.read(list(files), text or [])
    if len(names) > model_sections.MOST_INPUTS and (files or text):
        print(f"{len(names)} inputs; the first {model_sections.MOST_INPUTS} are explained.")
    sections = model_sections.sections(subject, names, x, subject.label(target), method or [], layer, data_dir)
    if not sections:
        raise UserError(f"{source}: no method fits this model.")
    title = f"Why does {source} say so?"
    print(f"explanation: {page.write(sections, out, title, 'What the predictions depend on.')}")
