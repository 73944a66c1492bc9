"""Migrations on the wire: which subscriptions of a plan move to its newest version, and to what."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field

from shared.domain.accounts import allowance_unit
from shared.domain.catalogue import Plan
from shared.domain.money import from_nanos, round_to_minor, to_nanos
from shared.domain.segments import Segment
from shared.services.migrating import Migration, MigrationPage, Move, State
from shared.wire.common import DecimalText, Items, QueryModel, Slug, Time, WireModel
from shared.wire.subscriptions import Moment

MAX_VERSIONS = 100


class MigrationQuery(QueryModel):
    """How many customers one call looks at, and after which."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, Field(max_length=2048)] | None = None


class MigrationBody(WireModel):
    """Which subscriptions move: those on these versions (default: all older ones), in a segment.

    A preview says what that would do and changes nothing.
    """

    at: Moment = "period_end"
    from_versions: Annotated[
        Items[Annotated[int, Field(ge=1)]], Field(max_length=MAX_VERSIONS)
    ] = ()
    segment: Slug | None = None
    preview: bool = False

    def to_migration(self, plan: str, segment: Segment | None) -> Migration:
        """What is asked for."""
        return Migration(plan, self.at, tuple(self.from_versions), segment)


class ChangeView(WireModel):
    """An amount or a quantity of a whole period, before and after."""

    before: DecimalText
    after: DecimalText


class GivenView(ChangeView):
    """What the plan includes of a meter's usage or a credit unit, for all seats."""

    unit: str


class InvoiceNowView(WireModel):
    """What is invoiced at once: the unused rest of the old fee, and the new fee for that rest."""

    credited: DecimalText
    charged: DecimalText
    total: DecimalText


class MoveView(WireModel):
    """What a customer's move does: at once `moved`, or `scheduled` to take effect `at`."""

    customer: str
    from_version: int
    state: State
    at: Time
    currency: str
    invoice: InvoiceNowView | None
    next_fee: ChangeView
    included: list[GivenView]

    @classmethod
    def of(cls, move: Move) -> "MoveView":
        """The move as it is shown."""
        before, after = move.before, move.after
        plan = after.next_plan
        moment = after.account.changes_at or after.account.current.end
        fees = [from_nanos(round_to_minor(nanos, plan.currency)) for nanos in move.next_fees]
        return cls(
            customer=before.customer.key,
            from_version=before.plan.version,
            state=move.state,
            at=after.account.current.start if move.state == "moved" else moment,
            currency=plan.currency,
            invoice=_invoice(move),
            next_fee=ChangeView(before=fees[0], after=fees[1]),
            included=_included(before.plan, plan, before.subscription.quantity),
        )


class RefusedView(WireModel):
    """A customer that stays as it is: a stable code, and the reason in words."""

    customer: str
    code: str
    detail: str


class MigrationCounts(WireModel):
    """Of the customers on this page."""

    moved: int
    scheduled: int
    refused: int


class MigrationView(WireModel):
    """A page of a migration; with a `next_cursor` there are customers still to be looked at."""

    plan: str
    to_version: int
    preview: bool
    counts: MigrationCounts
    data: list[MoveView]
    refused: list[RefusedView]
    next_cursor: str | None

    @classmethod
    def of(cls, page: MigrationPage, next_cursor: str | None, *, preview: bool) -> "MigrationView":
        """The page as it is shown."""
        moves = [MoveView.model_validate_json(text) for text in page.moves]
        states = [move.state for move in moves]
        return cls(
            plan=page.newest.key,
            to_version=page.newest.version,
            preview=preview,
            counts=MigrationCounts(
                moved=states.count("moved"),
                scheduled=states.count("scheduled"),
                refused=len(page.refused),
            ),
            data=moves,
            refused=[
                RefusedView(customer=r.customer, code=r.code, detail=r.detail) for r in page.refused
            ],
            next_cursor=next_cursor,
        )


def _invoice(move: Move) -> InvoiceNowView | None:
    if move.invoice is None:
        return None
    lines: list[dict[str, str]] = move.invoice.document["lines"]  # type: ignore[assignment]
    amounts = [(line["type"], to_nanos(Decimal(line["amount"]))) for line in lines]
    return InvoiceNowView(
        credited=from_nanos(-sum(nanos for kind, nanos in amounts if kind == "proration")),
        charged=from_nanos(sum(nanos for kind, nanos in amounts if kind == "fee")),
        total=Decimal(str(move.invoice.document["total"])),
    )


def _included(before: Plan, after: Plan, seats: int) -> list[GivenView]:
    was, becomes = _given(before, seats), _given(after, seats)
    return [
        GivenView(
            unit=unit,
            before=from_nanos(was.get(unit, 0)),
            after=from_nanos(becomes.get(unit, 0)),
        )
        for unit in sorted({*was, *becomes})
    ]


def _given(plan: Plan, seats: int) -> dict[str, int]:
    """Nanos by unit."""
    seated = plan.in_force("active", seats)
    given: dict[str, int] = {}
    for allowance in seated.allowances:
        unit = allowance_unit(allowance.meter)
        given[unit] = given.get(unit, 0) + to_nanos(allowance.quantity)
    for credit in seated.credits:
        given[credit.unit] = given.get(credit.unit, 0) + credit.amount_nanos
    return given
