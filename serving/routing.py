"""Routes: which handler a method and a path belong to, and the parameters in the path."""

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
    """The handler of one method and path.

    Args:
        method: `"GET"` or `"POST"`.
        path: may contain parameters in braces, such as `"/v2/models/{name}"`.
        handler: called with the server state, the request and the parameters of the path.
        body: the type of the request's JSON, for the OpenAPI document.
        content_types: of the responses. With `http.BYTES`, the request may be of that type too.
        optional: whether the request may have no body.
        open: whether requests need no API key.
    """

    method: str
    path: str
    handler: Handler
    body: Any = None
    content_types: Sequence[bytes] = (http.JSON,)
    optional: bool = False
    open: bool = False

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parameters in `path`, or None if the route does not match."""
        match = self._pattern.fullmatch(path)
        return match.groupdict() if match else None

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/:]+)", re.escape(self.path)))


def match_route(routes: Iterable[Route], method: str, path: str) -> tuple[Route, dict[str, str]]:
    """Return the route of a path, and the parameters in the path.

    Raises:
        ClientError: 404 if no route matches, 405 if the path needs another method.
    """
    matches: dict[str, tuple[Route, dict[str, str]]] = {}
    for route in routes:
        if (parameters := route.match(path)) is not None:
            matches.setdefault(route.method, (route, parameters))
    route_method = "GET" if method == "HEAD" else method  # uvicorn omits the body of a response to HEAD
    if route_method in matches:
        return matches[route_method]
    if matches:
        allowed = ", ".join(matches)
        raise ClientError(405, f"method {method} for {path!r}; expected {allowed}", (("allow", allowed),))
    raise ClientError(404, f"no route for {path!r}; see /openapi.json for all routes")


def versioned_routes(
    method: str, path: str, handler: Handler, body: Any = None, labels: bool = False, **options: Any
) -> list[Route]:
    """Return routes for a model without a version, with a version, and with a label if `labels` is true.

    The handler passes the parameters of the path on to the repository.
    """
    selectors = ["", "/versions/{version}", *["/labels/{label}"] * labels]
    paths = [path.replace("{name}", "{name}" + selector, 1) for selector in selectors]
    return [Route(method, versioned_path, handler, body, **options) for versioned_path in paths]
