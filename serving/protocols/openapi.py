"""`/openapi.json`: a description of every route, generated from the routes."""

import re
from typing import Any

import msgspec

from .. import http
from ..http import Request, Response
from ..routing import Route
from ..state import ServerState
from .open_inference import HEAD_LENGTH

JSON = http.JSON.decode()
ERROR = {"type": "object", "properties": {"error": {"type": "string"}}, "required": ["error"]}
KEYS = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}


async def document(state: ServerState, request: Request) -> Response:
    """This document."""
    bodies = [route.body for route in state.routes if route.body]
    schemas, components = msgspec.json.schema_components(bodies, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for route in state.routes:
        body = schemas[bodies.index(route.body)] if route.body else None
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, body)
    return http.json(
        {
            "openapi": "3.1.0",
            "info": {"title": "kerasfound", "version": state.version},
            "paths": paths,
            "components": {"schemas": components, "securitySchemes": KEYS},
            "security": [{name: []} for name in KEYS] if state.api_key else [],
        }
    )


def _operation(route: Route, body: dict | None) -> dict[str, Any]:
    names = re.findall(r"\{(\w+)\}", route.path)
    error = {"description": "The reason, in one line.", "content": {JSON: {"schema": ERROR}}}
    operation: dict[str, Any] = {
        "summary": (route.handler.__doc__ or "").strip().splitlines()[0],
        "operationId": route.method.lower() + re.sub(r"\W", "_", route.path),
        "parameters": [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names],
        "responses": {
            "200": {"description": "The response.", "content": {kind.decode(): {} for kind in route.content_types}},
            "4XX": error,
            "5XX": error,
        },
    }
    if body:
        operation["requestBody"] = {"required": not route.optional, "content": {JSON: {"schema": body}}}
        if http.BYTES in route.content_types:
            operation["requestBody"]["content"][http.BYTES.decode()] = {}
            length = {"name": HEAD_LENGTH.decode(), "in": "header", "schema": {"type": "integer"}}
            operation["parameters"].append(length | {"description": "Bytes of JSON before the binary tensors."})
    if route.open:
        operation["security"] = []
    return operation


ROUTES = [Route("GET", "/openapi.json", document)]
