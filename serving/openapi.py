"""`/openapi.json`: every path, made from the routes themselves."""

import re
from typing import TYPE_CHECKING, Any

import msgspec

from kerasfound.serving import web
from kerasfound.serving.routes import Route
from kerasfound.serving.web import Request, Response

if TYPE_CHECKING:
    from kerasfound.serving.app import App

ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}


async def document(app: "App", request: Request) -> Response:
    """This document."""
    bodies = [route.body for route in app.routes if route.body]
    schemas, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for route in app.routes:
        body = schemas[bodies.index(route.body)] if route.body else None
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, body)
    return web.json(
        {
            "openapi": "3.1.0",
            "info": {"title": "kerasfound", "version": app.version},
            "paths": paths,
            "components": {"schemas": components},
        }
    )


def _operation(route: Route, body: dict | None) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", route.path)
    found: dict[str, Any] = {
        "summary": (route.handler.__doc__ or "").strip().splitlines()[0],
        "operationId": re.sub(r"\W+", "_", route.path).strip("_") or "page",
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names],
        "responses": {
            "200": {"description": "The answer."},
            "4XX": {
                "description": "What is wrong with the request.",
                "content": {"application/json": {"schema": ERROR}},
            },
        },
    }
    if body:
        found["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return found


ROUTES = [Route("GET", "/openapi.json", document)]
