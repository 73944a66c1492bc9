"""What it costs the company itself to serve usage."""

from functions._http import Request, Router
from functions._runtime import Runtime
from functions._validation import validate
from functions.routes._common import page_by_key
from shared.domain.events import utc_text
from shared.wire.common import Page, PageQuery, Slug
from shared.wire.costs import CostsAnswer, CostsBody

router = Router()


@router.route(
    "PUT",
    "/v1/cost-rates/{meter}",
    scope="admin",
    summary="Say what a meter's usage costs to serve, from a date on",
    body=CostsBody,
    answer=CostsAnswer,
)
def put_cost_rates(request: Request, runtime: Runtime, body: CostsBody) -> CostsAnswer:
    costs = body.to_costs(validate(Slug, request.parameters["meter"]))
    return CostsAnswer.of(
        runtime.catalogue_service.put_costs(costs, request.principal, runtime.clock.now())
    )


@router.route(
    "GET",
    "/v1/cost-rates",
    scope="read",
    summary="Cost rates by meter and date",
    query=PageQuery,
    answer=Page[CostsAnswer],
)
def list_cost_rates(request: Request, runtime: Runtime, query: PageQuery) -> Page[CostsAnswer]:
    dated = runtime.catalogue_service.catalogue().costs.values()
    every = {f"{c.key}#{utc_text(c.effective_from)}": c for costs in dated for c in costs}
    return page_by_key(runtime, request, query, every, CostsAnswer.of)
