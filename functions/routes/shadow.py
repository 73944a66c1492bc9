"""Shadow mode: an incumbent's totals beside ours."""

from functions._http import Request, Router
from functions._runtime import Runtime
from shared.services.shadow import Shadow
from shared.wire.shadow import ShadowBody, ShadowView

router = Router()


@router.route(
    "POST",
    "/v1/shadow/compare",
    scope="read",
    summary="Compare an incumbent's totals with ours, and say why they differ; changes nothing",
    body=ShadowBody,
    answer=ShadowView,
)
def compare_with_incumbent(request: Request, runtime: Runtime, body: ShadowBody) -> ShadowView:
    shadow = Shadow(runtime.usage_queries, runtime.event_list)
    return ShadowView.of(shadow.compare(body.to_totals()))
