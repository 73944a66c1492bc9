"""The catalogue: meters, plans, credit units, and what a price comes to."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import validate
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

Entry = TypeVar("Entry")
Wire = TypeVar("Wire")

router = Router()


@router.route(
    "PUT",
    "/v1/meters/{meter}",
    scope="admin",
    summary="Define a meter, for good",
    body=MeterBody,
    answer=MeterAnswer,
)
def put_meter(request: Request, runtime: Runtime, body: MeterBody) -> MeterAnswer:
    meter = body.to_meter(validate(Slug, request.parameters["meter"]))
    return MeterAnswer.of(
        runtime.catalogue_service.put_meter(meter, request.principal, runtime.clock.now())
    )


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
)
def read_meter(request: Request, runtime: Runtime) -> MeterDetails:
    meter = runtime.catalogue_service.catalogue().meters.get(request.parameters["meter"])
    if meter is None:
        raise NotFoundError("No such meter.")
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
    return _page(runtime, "meters", meters, query, MeterAnswer.of)


@router.route(
    "PUT",
    "/v1/plans/{plan}",
    scope="admin",
    summary="Publish a plan's next version",
    body=PlanBody,
    answer=PlanAnswer,
)
def put_plan(request: Request, runtime: Runtime, body: PlanBody) -> PlanAnswer:
    plan = body.to_plan(validate(Slug, request.parameters["plan"]))
    return PlanAnswer.of(
        runtime.catalogue_service.put_plan(plan, request.principal, runtime.clock.now())
    )


@router.route(
    "GET",
    "/v1/plans/{plan}",
    scope="read",
    summary="Read a version of a plan, the newest by default",
    query=PlanQuery,
    answer=PlanAnswer,
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
    return _page(runtime, "plans", newest, query, PlanAnswer.of)


@router.route(
    "PUT",
    "/v1/credit-units/{unit}",
    scope="admin",
    summary="Define a credit unit, or add to its dated values",
    body=CreditUnitBody,
    answer=CreditUnitAnswer,
)
def put_credit_unit(request: Request, runtime: Runtime, body: CreditUnitBody) -> CreditUnitAnswer:
    unit = body.to_unit(validate(Slug, request.parameters["unit"]))
    return CreditUnitAnswer.of(
        runtime.catalogue_service.put_unit(unit, request.principal, runtime.clock.now())
    )


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
    return _page(runtime, "credit-units", units, query, CreditUnitAnswer.of)


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


def _page(
    runtime: Runtime,
    name: str,
    entries: Mapping[str, Entry],
    query: PageQuery,
    of: Callable[[Entry], Wire],
) -> Page[Any]:
    """The entries by key, from the one after the cursor's on."""
    after = runtime.cursors.open(name, query.cursor)["after"] if query.cursor else ""
    rest = sorted(key for key in entries if key > after)
    keys = rest[: query.limit]
    more = len(rest) > query.limit
    return Page(
        data=[of(entries[key]) for key in keys],
        next_cursor=runtime.cursors.sign(name, {"after": keys[-1]}) if more else None,
    )
