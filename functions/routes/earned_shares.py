"""Earnings: the rules, what a customer earns by others' usage, and what is paid of it."""

import hashlib
import hmac
import time
from dataclasses import asdict

from functions._following import shares_of
from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import validate
from functions.routes._common import money_write, open_cursor, page_by_key, seal_cursor
from functions.settle_earnings import report
from shared.domain.earned_shares import EarningEntry, Payout
from shared.domain.errors import NotFoundError
from shared.services.transfers import note_transfer
from shared.wire.common import Page, PageQuery, Slug
from shared.wire.earned_shares import (
    EarningEntryView,
    EarningRuleAnswer,
    EarningRuleBody,
    EarningsRecountView,
    EarningsSummary,
    EarningsView,
    PaidBody,
    PayoutView,
    SettledView,
)
from shared.wire.rewards import RecountBody

# Of the steps of a run that somebody waits for; the schedule takes the rest.
MAX_STEPS = 200
# A request ends after half a minute; by then all that is left must be marked.
SECONDS_FOR_A_RECOUNT = 15.0

router = Router()


@router.route(
    "PUT",
    "/v1/earning-rules/{rule}",
    scope="admin",
    summary="Make an earning rule, for good",
    body=EarningRuleBody,
    answer=EarningRuleAnswer,
)
def put_earning_rule(
    request: Request, runtime: Runtime, body: EarningRuleBody
) -> EarningRuleAnswer:
    rule = body.to_rule(validate(Slug, request.parameters["rule"]))
    service = runtime.catalogue_service
    return EarningRuleAnswer.of(
        service.put_earning_rule(rule, request.principal, runtime.clock.now())
    )


@router.route(
    "POST",
    "/v1/earning-rules/{rule}/archive",
    scope="admin",
    summary="End an earning rule: nothing more accrues, what did is paid",
    answer=EarningRuleAnswer,
)
def archive_earning_rule(request: Request, runtime: Runtime) -> EarningRuleAnswer:
    key, service = request.parameters["rule"], runtime.catalogue_service
    return EarningRuleAnswer.of(
        service.archive_earning_rule(key, request.principal, runtime.clock.now())
    )


@router.route(
    "GET",
    "/v1/earning-rules/{rule}",
    scope="read",
    summary="An earning rule",
    answer=EarningRuleAnswer,
)
def read_earning_rule(request: Request, runtime: Runtime) -> EarningRuleAnswer:
    rule = runtime.catalogue_service.catalogue().earning_rules.get(request.parameters["rule"])
    if rule is None:
        raise NotFoundError("No such earning rule.")
    return EarningRuleAnswer.of(rule)


@router.route(
    "GET",
    "/v1/earning-rules",
    scope="read",
    summary="List earning rules by key, archived ones too",
    query=PageQuery,
    answer=Page[EarningRuleAnswer],
)
def list_earning_rules(
    request: Request, runtime: Runtime, query: PageQuery
) -> Page[EarningRuleAnswer]:
    rules = runtime.catalogue_service.catalogue().earning_rules
    return page_by_key(runtime, request, query, rules, EarningRuleAnswer.of)


@router.route(
    "GET",
    "/v1/customers/{customer}/earnings",
    scope="read",
    summary="What a customer earns by others' usage, and its payouts",
    answer=EarningsSummary,
)
def read_earnings(request: Request, runtime: Runtime) -> EarningsSummary:
    key, records = request.parameters["customer"], shares_of(runtime).records
    # Payouts first: one that is made in between is then told of as paid out, never twice.
    payouts = records.payouts(key)
    found = records.all_earnings(key)
    if not found:
        runtime.books.customer(key)
    return EarningsSummary(
        data=[EarningsView.of(earnings, payouts) for earnings in found],
        payouts=[PayoutView.of(payout) for payout in payouts],
    )


@router.route(
    "GET",
    "/v1/customers/{customer}/earnings/entries",
    scope="read",
    summary="The entries of a customer's earnings, newest first",
    query=PageQuery,
    answer=Page[EarningEntryView],
)
def read_entries(request: Request, runtime: Runtime, query: PageQuery) -> Page[EarningEntryView]:
    after = open_cursor(runtime, request, query.cursor)
    key = request.parameters["customer"]
    page = shares_of(runtime).records.entries(key, query.limit, after)
    if after is None and not page.items:
        runtime.books.customer(key)
    secret = runtime.secret_keys.key("earnings-sources") if request.portal_customer else None
    return Page[EarningEntryView](
        data=[EarningEntryView.of(entry, _source(entry, secret)) for entry in page.items],
        next_cursor=seal_cursor(runtime, request, page.cursor),
    )


@router.route(
    "POST",
    "/v1/customers/{customer}/payouts/{payout}/paid",
    scope="admin",
    summary="Report a transfer as made",
    body=PaidBody,
    answer=PayoutView,
    money=True,
)
def report_paid(request: Request, runtime: Runtime, body: PaidBody) -> Answer:
    write, records = money_write(request, body), shares_of(runtime).records
    transfer = (request.parameters["payout"], body.reference)
    stored = note_transfer(runtime.books, records, write, transfer, _payout_json)
    return Answer(stored.answer, stored.status)


@router.route(
    "POST",
    "/v1/earnings/settle",
    scope="admin",
    summary="Accrue, release and pay now what is due, as the schedule does each hour",
    answer=SettledView,
)
def settle(request: Request, runtime: Runtime) -> SettledView:
    steps = iter(range(MAX_STEPS))
    done = shares_of(runtime).settle(lambda: next(steps, None) is None)
    report(done)
    return SettledView(**asdict(done))


@router.route(
    "POST",
    "/v1/earnings/recount",
    scope="admin",
    summary="Count a customer's usage anew and accrue what others lack by it; once by nature",
    body=RecountBody,
    answer=EarningsRecountView,
)
def recount_earnings(request: Request, runtime: Runtime, body: RecountBody) -> EarningsRecountView:
    until = time.monotonic() + SECONDS_FOR_A_RECOUNT
    shares = shares_of(runtime)
    done = shares.recount(body.customer, body.start, body.end, lambda: time.monotonic() > until)
    report(done)
    return EarningsRecountView(accrued=done.accrued, nobody=done.nobody, later=done.later)


def _source(entry: EarningEntry, secret: bytes | None) -> str:
    """The source's key; where a secret is given, a name that only tells sources apart."""
    if secret is None:
        return entry.source
    told = f"{entry.beneficiary}\n{entry.source}".encode()
    return "customer-" + hmac.new(secret, told, hashlib.sha256).hexdigest()[:12]


def _payout_json(payout: Payout) -> str:
    return PayoutView.of(payout).model_dump_json()
