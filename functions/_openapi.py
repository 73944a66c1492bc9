"""The OpenAPI 3.1 document, made from the table of routes and the models that validate requests."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from functions._http import JSON, PROBLEM_JSON, Route
from shared.wire.common import Identifier

_REFERENCES = "#/components/schemas/{model}"
_PROBLEM = {
    "type": "object",
    "description": "Problem details (RFC 9457).",
    "required": ["type", "title", "status", "code", "detail", "instance", "errors"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "Stable: programs may rely on it."},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "code"],
                "properties": {
                    "pointer": {"type": "string", "description": "A JSON pointer."},
                    "code": {"type": "string"},
                },
            },
        },
    },
}

_PROBLEM_REFERENCE = {"$ref": "#/components/schemas/Problem"}
_TOO_MANY_REQUESTS = {
    "description": "The key is over its limit of requests per minute; nothing was done.",
    "headers": {
        "Retry-After": {
            "description": "Whole seconds until the same request may succeed.",
            "schema": {"type": "integer", "minimum": 1},
        }
    },
    "content": {PROBLEM_JSON: {"schema": _PROBLEM_REFERENCE}},
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "A repeat under the same key is answered as before, and changes nothing.",
    "schema": TypeAdapter(Identifier).json_schema(),
}


_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The ETag of what was read: if that is not what is stored any more, nothing "
    "is changed and the answer is 412.",
    "schema": {"type": "string"},
}
_ETAG = {"ETag": {"description": "For If-Match.", "schema": {"type": "string"}}}


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document for these routes; those in another vendor's dialect are that vendor's."""
    routes = [route for route in routes if route.dialect is None]
    schemas = _Schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Meterline",
            "version": "1",
            "description": "Usage metering and billing. Decimals travel as strings, times are UTC.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Problem": _PROBLEM, **schemas.definitions},
            "responses": {"TooManyRequests": _TOO_MANY_REQUESTS},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
            },
        },
    }


class _Schemas:
    """The schemas of all bodies and answers, generated together.

    One model may look different when it is read and when it is written; pydantic then gives each
    form a name of its own, and it tells apart models of the same name.
    """

    def __init__(self, routes: Sequence[Route]) -> None:
        read = [model for route in routes for model in (route.body, route.query) if model]
        written = [route.answer for route in routes if route.answer]
        modes: list[tuple[JsonSchemaMode, list[Any]]] = [
            ("validation", read),
            ("serialization", written),
        ]
        adapters = [
            (repr(model), mode, TypeAdapter(model)) for mode, models in modes for model in models
        ]
        self._schemas, shared = TypeAdapter.json_schemas(adapters, ref_template=_REFERENCES)
        self.definitions: dict[str, Any] = shared.get("$defs", {})

    def body(self, model: Any) -> dict[str, Any]:
        return self._schemas[repr(model), "validation"]

    def answer(self, model: Any) -> dict[str, Any]:
        return self._schemas[repr(model), "serialization"]

    def query(self, model: Any) -> dict[str, Any]:
        """The object whose properties are the parameters."""
        schema = self.body(model)
        name = schema.get("$ref", "").rpartition("/")[2]
        return self.definitions[name] if name else schema


def _operation(route: Route, schemas: _Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.call.__name__,
        "summary": route.summary,
        "parameters": _parameters(route, schemas),
        "responses": {
            str(route.status): {"description": "Done.", **_content(route, schemas), **_tag(route)},
            **{str(s): _refusal(_with_members(m)) for s, m in route.refusals.items()},
            **({"429": {"$ref": "#/components/responses/TooManyRequests"}} if route.scope else {}),
            "default": _refusal(_PROBLEM_REFERENCE),
        },
        "security": [{"bearer": []}, {"apiKey": []}] if route.scope else [],
    }
    if route.scope:
        operation["x-scope"] = route.scope
    if route.body is not None:
        schema = schemas.body(route.body)
        content = {kind: {"schema": schema} for kind in route.content_types}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _content(route: Route, schemas: _Schemas) -> dict[str, Any]:
    content = {kind: {"schema": {"type": "string"}} for kind in route.alternatives}
    if route.answer is not None:
        content[route.content_type] = {"schema": schemas.answer(route.answer)}
    elif route.content_type != JSON:
        content[route.content_type] = {"schema": {"type": "string"}}
    return {"content": content} if content else {}


def _tag(route: Route) -> dict[str, Any]:
    return {"headers": _ETAG} if route.tagged and route.method == "GET" else {}


def _refusal(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"description": "Refused.", "content": {PROBLEM_JSON: {"schema": schema}}}


def _with_members(members: Mapping[str, Any]) -> dict[str, Any]:
    more = {"type": "object", "required": list(members), "properties": members}
    return {"allOf": [_PROBLEM_REFERENCE, more]}


def _parameters(route: Route, schemas: _Schemas) -> list[dict[str, Any]]:
    written = [_IDEMPOTENCY_KEY] if route.money else []
    if route.tagged and route.method == "PUT":
        written.append(_IF_MATCH)
    return [*_path_parameters(route), *_query_parameters(route, schemas), *written]


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", route.path)
    schema = {"type": "string", "maxLength": 256}
    return [{"name": n, "in": "path", "required": True, "schema": schema} for n in names]


def _query_parameters(route: Route, schemas: _Schemas) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = schemas.query(route.query)
    required = schema.get("required", [])
    return [
        {"name": n, "in": "query", "required": n in required, "schema": s, **_style(s)}
        for n, s in schema.get("properties", {}).items()
    ]


def _style(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping travels as `name[member]=text`; lists are repeated, as is the rule."""
    return {"style": "deepObject", "explode": True} if schema.get("type") == "object" else {}
