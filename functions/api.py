"""Everything people and programs ask for, but for events coming in: one function, many routes."""

from typing import Any

from functions._http import Router
from functions._runtime import runtime
from functions.routes import catalogue, openapi

router = Router((openapi.router, catalogue.router))


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API, payload 2.0."""
    return router.serve(event, runtime)
