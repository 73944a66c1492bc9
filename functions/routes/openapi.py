"""The API's description of itself."""

import json
from functools import cache

from functions._http import Answer, Request, Router
from functions._openapi import document
from functions._runtime import Runtime

router = Router()


@router.route("GET", "/v1/openapi.json", scope=None, summary="This document")
def read_openapi(request: Request, runtime: Runtime) -> Answer:
    return Answer(document_text(runtime.settings.test_clocks))


@cache
def document_text(test_clocks: bool) -> str:
    """The document as it is served, with the routes of test clocks where the stage has them."""
    # The other tables include this one, so they can only be imported after it.
    from functions import api, ingest  # noqa: PLC0415

    routers = [ingest.router, api.router]
    if test_clocks:
        from functions import test_clocks as clocks  # noqa: PLC0415

        routers.append(clocks.router)
    return json.dumps(document(Router(routers).routes))
