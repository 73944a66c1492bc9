"""The OpenAPI 3.1 document, made from the table of routes and the models that validate requests."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter

from functions._http import JSON, PROBLEM_JSON, Route

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


def document(routes: Iterable[Route]) -> dict[str, Any]:
    """The whole document for these routes."""
    schemas: dict[str, Any] = {"Problem": _PROBLEM}
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
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-KEY"},
            },
        },
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.call.__name__,
        "summary": route.summary,
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas)],
        "responses": {
            str(route.status): {"description": "Done.", **_content(route, schemas)},
            "default": {
                "description": "Refused.",
                "content": {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
        "security": [{"bearer": []}, {"apiKey": []}] if route.scope else [],
    }
    if route.scope:
        operation["x-scope"] = route.scope
    if route.body is not None:
        schema = _schema(route.body, "validation", schemas)
        content = {kind: {"schema": schema} for kind in route.content_types}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _content(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    if route.answer is None and route.content_type == JSON:
        return {}
    schema = {"type": "string"}
    if route.answer is not None:
        schema = _schema(route.answer, "serialization", schemas)
    return {"content": {route.content_type: {"schema": schema}}}


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    names = re.findall(r"\{(\w+)\}", route.path)
    schema = {"type": "string", "maxLength": 256}
    return [{"name": n, "in": "path", "required": True, "schema": schema} for n in names]


def _query_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    schema = route.query.model_json_schema(ref_template=_REFERENCES)
    schemas.update(schema.pop("$defs", {}))
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": definition}
        for name, definition in schema.get("properties", {}).items()
    ]


def _schema(model: Any, mode: Any, schemas: dict[str, Any]) -> dict[str, Any]:
    """The model's schema with its definitions moved to the components."""
    schema = TypeAdapter(model).json_schema(mode=mode, ref_template=_REFERENCES)
    schemas.update(schema.pop("$defs", {}))
    title = schema.get("title")
    if not title or schema.get("type") != "object":
        return schema
    name = re.sub(r"\W+", "_", title)
    schemas[name] = schema
    return {"$ref": f"#/components/schemas/{name}"}
