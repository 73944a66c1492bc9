"""Usage events come in."""

from typing import Any

from functions._http import Router
from functions._runtime import runtime

router = Router()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API, payload 2.0."""
    return router.serve(event, runtime)
