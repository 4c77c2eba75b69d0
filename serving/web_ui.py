"""The web page at `/`: its files, a description of every model, and `/metrics`."""

from importlib import resources
from pathlib import Path
from typing import Any

from . import http, metrics
from .client_error import ClientError
from .http import Request, Response
from .model import Model
from .routing import Route
from .state import ServerState

CONTENT_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css",
    ".js": b"text/javascript",
    ".svg": b"image/svg+xml",
}
FOLDER = resources.files("kerasfound.serving").joinpath("page")
FILES = {file.name: file for file in FOLDER.iterdir() if Path(file.name).suffix in CONTENT_TYPES}
MAX_CATEGORIES = 1000
"""Categories of a column that the page offers; more can be typed."""
SECURITY_POLICY = (
    b"default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
SECURITY_HEADERS = [
    (b"content-security-policy", SECURITY_POLICY),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-cache"),
]


async def page(state: ServerState, request: Request, file: str = "index.html") -> Response:
    """The web page, or one of its files."""
    if file not in FILES:
        raise ClientError(404, f"no file {file!r}")
    return Response(FILES[file].read_bytes(), CONTENT_TYPES[Path(file).suffix], headers=SECURITY_HEADERS)


async def models(state: ServerState, request: Request) -> Response:
    """The inputs, outputs, metrics and model card of every version of every model."""
    served = [model.versions.values() for _, model in sorted(state.repository.models.items())]
    return http.json([_describe(version) for versions in served for version in versions])


async def exposition(state: ServerState, request: Request) -> Response:
    """Metrics in Prometheus's text format."""
    state.count_queued()
    return Response(metrics.exposition(), metrics.CONTENT_TYPE)


def _describe(model: Model) -> dict:
    """Return the parts of the manifest that the page shows, and the model card."""
    manifest = model.manifest
    return {
        "name": model.name,
        "version": model.version,
        "task": manifest.task,
        "inputs": manifest.inputs,
        "columns": _describe_columns(model),
        "target": model.row_inputs.target if model.row_inputs else "",
        "outputs": manifest.outputs,
        "preprocessing": manifest.preprocessing,
        "postprocessing": manifest.postprocessing,
        "labels": manifest.labels,
        "metrics": manifest.metrics,
        "baseline": manifest.baseline,
        "measured_on": manifest.measured_on,
        "created": manifest.created,
        "raw_inputs": {name: raw.kind for name, raw in model.raw_inputs.items()},
        "generates_text": model.text_generator is not None,
        "card": _read_text(model, "README.md"),
    }


def _describe_columns(model: Model) -> list[dict[str, Any]]:
    """The column of each input; empty for a model that takes no rows, or has other inputs."""
    return [
        {
            "name": column.name,
            "kind": column.kind,
            "categories": column.categories[:MAX_CATEGORIES],
            "example": getattr(column.format, "example", ""),
        }
        for column in (model.row_inputs.columns.values() if model.row_inputs else ())
    ]


def _read_text(model: Model, file: str) -> str:
    """Return a text file of the bundle, or "" if it was removed after the model was loaded."""
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
