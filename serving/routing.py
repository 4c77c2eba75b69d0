"""Paths: which call they are, and what they name."""

import dataclasses
import functools
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from . import http
from .client_error import ClientError
from .http import Response

Handler = Callable[..., Awaitable[Response]]


@dataclasses.dataclass(frozen=True)
class Route:
    """One path of one method.

    Args:
        method: `"GET"` or `"POST"`.
        path: with names in braces, `"/v2/models/{name}"`.
        handler: called with the app, the request, and what the path names.
        body: what the request's JSON is, for the OpenAPI document.
        kinds: content types of its answers, of which `web.BYTES` may be asked with, too.
        optional: whether the body may be left out.
        open: whether it answers without a key.
    """

    method: str
    path: str
    handler: Handler
    body: Any = None
    kinds: Sequence[bytes] = (http.JSON,)
    optional: bool = False
    open: bool = False

    def fits(self, path: str) -> dict[str, str] | None:
        """What `path` names, if it is this one."""
        match = self._pattern.fullmatch(path)
        return match.groupdict() if match else None

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/:]+)", re.escape(self.path)))


def found(routes: Iterable[Route], method: str, path: str) -> tuple[Route, dict[str, str]]:
    """The route of a path, and what the path names.

    Raises:
        ClientError: 404 if nothing is there, 405 if it takes another method.
    """
    fitting: dict[str, tuple[Route, dict[str, str]]] = {}
    for route in routes:
        if (named := route.fits(path)) is not None:
            fitting.setdefault(route.method, (route, named))
    asked = "GET" if method == "HEAD" else method  # uvicorn leaves the body out
    if asked in fitting:
        return fitting[asked]
    if fitting:
        allowed = ", ".join(fitting)
        raise ClientError(405, f"{path!r} takes {allowed}, not {method}", (("allow", allowed),))
    raise ClientError(404, f"nothing at {path!r}; see /openapi.json for what there is")


def versioned(
    method: str, path: str, handler: Handler, body: Any = None, labels: bool = False, **more: Any
) -> list[Route]:
    """A path of a model, by its name alone and with a version, and with a label in TensorFlow Serving's protocol.

    What it names goes to the handler as `which`, and from there to the repository.
    """
    of = ["", "/versions/{version}", *["/labels/{label}"] * labels]
    return [Route(method, path.replace("{name}", "{name}" + each, 1), handler, body, **more) for each in of]
