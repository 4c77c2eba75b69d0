"""The page at `/`: plain files, a document that says what each model takes, and `/metrics`."""

from importlib import resources
from typing import TYPE_CHECKING

from kerasfound.serving import metrics, web
from kerasfound.serving.errors import ClientError
from kerasfound.serving.model import Model
from kerasfound.serving.routes import Route
from kerasfound.serving.web import Request, Response

if TYPE_CHECKING:
    from kerasfound.serving.app import App

FILES = {"index.html": b"text/html; charset=utf-8", "page.css": b"text/css", "page.js": b"text/javascript"}
SAFE = [
    (b"content-security-policy", b"default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-cache"),
]


async def page(app: "App", request: Request, file: str = "index.html") -> Response:
    """The page, or a file that it needs."""
    if file not in FILES:
        raise ClientError(404, f"no file {file!r}")
    text = resources.files("kerasfound.serving").joinpath("page", file).read_bytes()
    return Response(text, FILES[file], headers=SAFE)


async def models(app: "App", request: Request) -> Response:
    """What each model takes and says: enough to make a form of it."""
    return web.json([_described(app.repository.get(name)) for name in sorted(app.repository.models)])


async def exposition(app: "App", request: Request) -> Response:
    """Counts and times in Prometheus's text format."""
    return Response(metrics.exposition(), metrics.CONTENT_TYPE)


def _described(model: Model) -> dict:
    """The manifest, without what only the server needs, and the card."""
    manifest = model.manifest
    card = model.folder / "README.md"
    return {
        "name": model.name,
        "version": model.version,
        "task": manifest.task,
        "inputs": manifest.inputs,
        "outputs": manifest.outputs,
        "preprocessing": manifest.preprocessing,
        "postprocessing": manifest.postprocessing,
        "labels": manifest.labels,
        "metrics": manifest.metrics,
        "measured_on": manifest.measured_on,
        "created": manifest.created,
        "raw": model.raw.kind if model.raw else None,
        "writes": model.writer is not None,
        "card": card.read_text(encoding="utf-8") if card.name in manifest.files else "",
    }


ROUTES = [
    Route("GET", "/", page, kinds=(b"text/html; charset=utf-8",), open=True),
    Route(
        "GET",
        "/page/{file}",
        page,
        kinds=(b"text/html; charset=utf-8", b"text/css", b"text/javascript", b"image/svg+xml"),
        open=True,
    ),
    Route("GET", "/models", models),
    Route("GET", "/metrics", exposition, kinds=(metrics.CONTENT_TYPE,)),
]
