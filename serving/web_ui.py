"""The page at `/`: plain files, a document that says what each model takes, and `/metrics`."""

from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from . import http, metrics
from .client_error import ClientError
from .http import Request, Response
from .model import Model
from .routing import Route

if TYPE_CHECKING:
    from .app import App

KINDS = {".html": b"text/html; charset=utf-8", ".css": b"text/css", ".js": b"text/javascript", ".svg": b"image/svg+xml"}
FOLDER = resources.files("kerasfound.serving").joinpath("page")
FILES = {file.name: file for file in FOLDER.iterdir() if Path(file.name).suffix in KINDS}
HINTS = 1000
"""Categories of a column that the page is told, at most; others can be typed."""
POLICY = b"default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
SAFE = [
    (b"content-security-policy", POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]


class Column(msgspec.Struct):
    """A column of a table, as a bundle's row schema has it."""

    name: str
    kind: str
    categories: list[str] = []


class Table(msgspec.Struct):
    """What a row of a table is made of, and which column the model tells."""

    columns: list[Column] = []
    target: str = ""


async def page(app: "App", request: Request, file: str = "index.html") -> Response:
    """The page, or a file that it needs."""
    if file not in FILES:
        raise ClientError(404, f"no file {file!r}")
    return Response(FILES[file].read_bytes(), KINDS[Path(file).suffix], headers=SAFE)


async def models(app: "App", request: Request) -> Response:
    """What each version of each model takes and says: enough to make a form of it."""
    found = [served.versions.values() for _, served in sorted(app.repository.models.items())]
    return http.json([_described(model) for versions in found for model in versions])


async def exposition(app: "App", request: Request) -> Response:
    """Counts and times in Prometheus's text format."""
    app.count_queued()
    return Response(metrics.exposition(), metrics.CONTENT_TYPE)


def _described(model: Model) -> dict:
    """The manifest, without what only the server needs, and the card."""
    manifest = model.manifest
    table = _table(model)
    return {
        "name": model.name,
        "version": model.version,
        "task": manifest.task,
        "inputs": manifest.inputs,
        "columns": table.columns,
        "target": table.target,
        "outputs": manifest.outputs,
        "preprocessing": manifest.preprocessing,
        "postprocessing": manifest.postprocessing,
        "labels": manifest.labels,
        "metrics": manifest.metrics,
        "measured_on": manifest.measured_on,
        "created": manifest.created,
        "raw": model.raw.kind if model.raw else None,
        "writes": model.writer is not None,
        "card": _text(model, "README.md"),
    }


def _table(model: Model) -> Table:
    """A column for each input; empty for a model that takes no rows, or whose inputs are other ones."""
    for step in model.manifest.preprocessing:
        if step.name == "row" and step.file:
            found = msgspec.json.decode(_text(model, step.file) or "{}", type=Table)
            found.columns = [column for column in found.columns if column.kind != "left out"]
            for column in found.columns:
                column.categories = column.categories[:HINTS]
            return found if len(found.columns) == len(model.inputs) else Table()
    return Table()


def _text(model: Model, file: str) -> str:
    """A file of the bundle, which may have left the folder since the model was opened."""
    try:
        return (model.folder / file).read_text(encoding="utf-8") if file in model.manifest.files else ""
    except OSError:
        return ""


ROUTES = [
    Route("GET", "/", page, content_types=(b"text/html; charset=utf-8",), open=True),
    Route(
        "GET",
        "/page/{file}",
        page,
        content_types=(b"text/html; charset=utf-8", b"text/css", b"text/javascript", b"image/svg+xml"),
        open=True,
    ),
    Route("GET", "/models", models),
    Route("GET", "/metrics", exposition, content_types=(metrics.CONTENT_TYPE,)),
]
