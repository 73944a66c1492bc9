"""The catalogue: meters, plans, credit units, and what a price comes to."""

from functions._http import Answer, Request, Router
from functions._preconditions import require_match
from functions._runtime import Runtime
from functions._validation import validate
from functions.routes._common import page_by_key
from shared.domain.catalogue import Catalogue
from shared.domain.errors import NotFoundError
from shared.wire.catalogue import (
    BackfillBody,
    BackfillView,
    CreditUnitAnswer,
    CreditUnitBody,
    MeterAnswer,
    MeterBody,
    MeterDetails,
)
from shared.wire.common import Page, PageQuery, Slug
from shared.wire.plans import PlanAnswer, PlanBody, PlanQuery
from shared.wire.prices import PreviewAnswer, PreviewBody

router = Router()


@router.route(
    "PUT",
    "/v1/meters/{meter}",
    scope="admin",
    summary="Define a meter, for good",
    body=MeterBody,
    answer=MeterAnswer,
    tagged=True,
)
def put_meter(request: Request, runtime: Runtime, body: MeterBody) -> MeterAnswer:
    meter = body.to_meter(validate(Slug, request.parameters["meter"]))
    service = runtime.catalogue_service.provided(
        lambda catalogue: require_match(request.headers, _meter(runtime, catalogue, meter.key))
    )
    return MeterAnswer.of(service.put_meter(meter, request.principal, runtime.clock.now()))


@router.route(
    "POST",
    "/v1/meters/{meter}/archive",
    scope="admin",
    summary="Stop a meter's counting",
    answer=MeterAnswer,
)
def archive_meter(request: Request, runtime: Runtime) -> MeterAnswer:
    key = request.parameters["meter"]
    return MeterAnswer.of(
        runtime.catalogue_service.archive_meter(key, request.principal, runtime.clock.now())
    )


@router.route(
    "POST",
    "/v1/meters/{meter}/backfill",
    scope="admin",
    summary="Count a meter's usage from before it was made; safe to repeat",
    body=BackfillBody,
    answer=BackfillView,
    status=202,
)
def backfill_meter(request: Request, runtime: Runtime, body: BackfillBody) -> Answer:
    key = request.parameters["meter"]
    ordered = runtime.backfills.request(key, body.start, request.principal)
    meter = runtime.catalogue.newest().meters[key]
    return Answer(BackfillView.of(ordered, meter), status=202)


@router.route(
    "GET",
    "/v1/backfills",
    scope="read",
    summary="The newest backfill of each meter that has one, all on one page",
    answer=Page[BackfillView],
)
def list_backfills(request: Request, runtime: Runtime) -> Page[BackfillView]:
    backfills = runtime.backfilled_usage.progress.all()
    meters = runtime.catalogue.newest().meters
    return Page(data=[BackfillView.of(each, meters[each.meter]) for each in backfills])


@router.route(
    "GET",
    "/v1/meters/{meter}",
    scope="read",
    summary="Read a meter, and how far its backfill is",
    answer=MeterDetails,
    tagged=True,
)
def read_meter(request: Request, runtime: Runtime) -> MeterDetails:
    details = _meter(runtime, runtime.catalogue_service.catalogue(), request.parameters["meter"])
    if details is None:
        raise NotFoundError("No such meter.")
    return details


def _meter(runtime: Runtime, catalogue: Catalogue, key: str) -> MeterDetails | None:
    meter = catalogue.meters.get(key)
    if meter is None:
        return None
    backfill = runtime.backfilled_usage.progress.get(meter.key)
    return MeterDetails(
        **dict(MeterAnswer.of(meter)),
        backfill=BackfillView.of(backfill, meter) if backfill else None,
    )


@router.route(
    "GET",
    "/v1/meters",
    scope="read",
    summary="List meters by key",
    query=PageQuery,
    answer=Page[MeterAnswer],
)
def list_meters(request: Request, runtime: Runtime, query: PageQuery) -> Page[MeterAnswer]:
    meters = runtime.catalogue_service.catalogue().meters
    return page_by_key(runtime, request, query, meters, MeterAnswer.of)


@router.route(
    "PUT",
    "/v1/plans/{plan}",
    scope="admin",
    summary="Publish a plan's next version",
    body=PlanBody,
    answer=PlanAnswer,
    tagged=True,
)
def put_plan(request: Request, runtime: Runtime, body: PlanBody) -> PlanAnswer:
    plan = body.to_plan(validate(Slug, request.parameters["plan"]))

    def unchanged(catalogue: Catalogue) -> None:
        versions = catalogue.plans.get(plan.key)
        require_match(request.headers, PlanAnswer.of(versions[-1]) if versions else None)

    service = runtime.catalogue_service.provided(unchanged)
    return PlanAnswer.of(service.put_plan(plan, request.principal, runtime.clock.now()))


@router.route(
    "GET",
    "/v1/plans/{plan}",
    scope="read",
    summary="Read a version of a plan, the newest by default",
    query=PlanQuery,
    answer=PlanAnswer,
    tagged=True,
)
def read_plan(request: Request, runtime: Runtime, query: PlanQuery) -> PlanAnswer:
    catalogue, key = runtime.catalogue_service.catalogue(), request.parameters["plan"]
    if query.version is None:
        return PlanAnswer.of(catalogue.latest_plan(key))
    return PlanAnswer.of(catalogue.plan(key, query.version))


@router.route(
    "GET",
    "/v1/plans",
    scope="read",
    summary="List plans by key, the newest version of each",
    query=PageQuery,
    answer=Page[PlanAnswer],
)
def list_plans(request: Request, runtime: Runtime, query: PageQuery) -> Page[PlanAnswer]:
    plans = runtime.catalogue_service.catalogue().plans
    newest = {key: versions[-1] for key, versions in plans.items()}
    return page_by_key(runtime, request, query, newest, PlanAnswer.of)


@router.route(
    "PUT",
    "/v1/credit-units/{unit}",
    scope="admin",
    summary="Define a credit unit, or add to its dated values",
    body=CreditUnitBody,
    answer=CreditUnitAnswer,
    tagged=True,
)
def put_credit_unit(request: Request, runtime: Runtime, body: CreditUnitBody) -> CreditUnitAnswer:
    unit = body.to_unit(validate(Slug, request.parameters["unit"]))
    service = runtime.catalogue_service.provided(
        lambda catalogue: require_match(request.headers, _unit(catalogue, unit.key))
    )
    return CreditUnitAnswer.of(service.put_unit(unit, request.principal, runtime.clock.now()))


@router.route(
    "GET",
    "/v1/credit-units/{unit}",
    scope="read",
    summary="A credit unit",
    answer=CreditUnitAnswer,
    tagged=True,
)
def read_credit_unit(request: Request, runtime: Runtime) -> CreditUnitAnswer:
    unit = _unit(runtime.catalogue_service.catalogue(), request.parameters["unit"])
    if unit is None:
        raise NotFoundError("No such credit unit.")
    return unit


def _unit(catalogue: Catalogue, key: str) -> CreditUnitAnswer | None:
    unit = catalogue.units.get(key)
    return CreditUnitAnswer.of(unit) if unit else None


@router.route(
    "GET",
    "/v1/credit-units",
    scope="read",
    summary="List credit units by key",
    query=PageQuery,
    answer=Page[CreditUnitAnswer],
)
def list_credit_units(
    request: Request, runtime: Runtime, query: PageQuery
) -> Page[CreditUnitAnswer]:
    units = runtime.catalogue_service.catalogue().units
    return page_by_key(runtime, request, query, units, CreditUnitAnswer.of)


@router.route(
    "POST",
    "/v1/pricing/preview",
    scope="read",
    summary="What a price comes to, tier by tier",
    body=PreviewBody,
    answer=PreviewAnswer,
)
def preview_price(request: Request, runtime: Runtime, body: PreviewBody) -> PreviewAnswer:
    return PreviewAnswer.of(body)
