"""Earning rules on the wire, and what customers earn by them."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from shared.domain.earned_shares import EarningEntry, Earnings, Payout, PayoutStatus
from shared.domain.earning_rules import EarningRule
from shared.domain.money import from_nanos
from shared.domain.periods import parse_days
from shared.wire.catalogue import PropertyName
from shared.wire.common import EARLIEST, DecimalText, Identifier, Slug, Time, WireModel
from shared.wire.prices import Discount, UnitPrice
from shared.wire.rewards import Days

PayableBy = Literal["credits", "transfer"]


class ShareBody(WireModel):
    """So many percent of what a unit of usage is declared to be worth."""

    unit_price: UnitPrice
    percentage: Discount = Decimal(100)


class EarningRuleBody(WireModel):
    """Usage of a meter earns a share for the customer that its property `beneficiary` names.

    What a day (UTC) earned is held for so many days (`P0D` is not at all: leave it out), then paid
    as credits or as a transfer that is due.
    """

    meter: Slug
    beneficiary: PropertyName
    share: ShareBody
    unit: Identifier
    hold: Days | None = None
    payable: PayableBy = "credits"

    def to_rule(self, key: str) -> EarningRule:
        """The rule; when it is made is not known yet."""
        return EarningRule(
            key=key,
            meter=self.meter,
            beneficiary=self.beneficiary,
            unit=self.unit,
            unit_price=self.share.unit_price,
            hold_days=parse_days(self.hold) if self.hold else 0,
            payable=self.payable,
            created_at=EARLIEST,
            percentage=self.share.percentage,
        )


class EarningRuleAnswer(EarningRuleBody):
    """An earning rule. By an archived one nothing more is earned."""

    key: str
    created_at: Time
    archived_at: Time | None

    @classmethod
    def of(cls, rule: EarningRule) -> "EarningRuleAnswer":
        """The rule as the wire has it."""
        return cls(
            key=rule.key,
            meter=rule.meter,
            beneficiary=rule.beneficiary,
            share=ShareBody(unit_price=rule.unit_price, percentage=rule.percentage),
            unit=rule.unit,
            hold=f"P{rule.hold_days}D" if rule.hold_days else None,
            payable=rule.payable,
            created_at=rule.created_at,
            archived_at=rule.archived_at,
        )


class EarningsView(WireModel):
    """What a customer has earned under a rule: held, due, to transfer, paid; together `accrued`.

    `to_transfer` is what payouts say that nobody has reported as made yet. `due` below zero was
    taken back after it was paid, and comes off what is earned next.
    """

    rule: str
    unit: str
    accrued: DecimalText
    held: DecimalText
    due: DecimalText
    to_transfer: DecimalText
    paid: DecimalText
    next_release: str | None

    @classmethod
    def of(cls, earnings: Earnings, payouts: Iterable[Payout]) -> "EarningsView":
        """The earnings as they are shown, beside all payouts of who earns."""
        mine = (payout for payout in payouts if payout.rule == earnings.rule)
        to_transfer = sum(payout.nanos for payout in mine if payout.status == "due")
        return cls(
            rule=earnings.rule,
            unit=earnings.unit,
            accrued=from_nanos(earnings.accrued),
            held=from_nanos(sum(earnings.held.values())),
            due=from_nanos(earnings.due),
            to_transfer=from_nanos(to_transfer),
            paid=from_nanos(earnings.paid - to_transfer),
            next_release=earnings.next_release,
        )


class PayoutView(WireModel):
    """What was paid at once. A transfer is `due` until it is reported as made."""

    id: str
    rule: str
    unit: str
    amount: DecimalText
    payable: PayableBy
    status: PayoutStatus
    at: Time
    grant: str | None
    reference: str | None
    paid_at: Time | None

    @classmethod
    def of(cls, payout: Payout) -> "PayoutView":
        """The payout as it is shown."""
        return cls(
            id=payout.id,
            rule=payout.rule,
            unit=payout.unit,
            amount=from_nanos(payout.nanos),
            payable=payout.payable,
            status=payout.status,
            at=payout.at,
            grant=payout.grant,
            reference=payout.reference,
            paid_at=payout.paid_at,
        )


class EarningsSummary(WireModel):
    """All that a customer earns by others' usage."""

    data: list[EarningsView]
    payouts: list[PayoutView]


class EarningEntryView(WireModel):
    """What the count of a source's day added to the earnings, or took back.

    `number` counts the entries of that day and source. The customer who earns sees a name that
    stands for the `source`, the operator the source itself.
    """

    rule: str
    source: str
    day: str
    number: int
    quantity: DecimalText
    amount: DecimalText
    unit: str
    held_until: str
    at: Time

    @classmethod
    def of(cls, entry: EarningEntry, source: str) -> "EarningEntryView":
        """The entry as it is shown, its source under this name."""
        return cls(
            rule=entry.rule,
            source=source,
            day=entry.day,
            number=entry.number,
            quantity=entry.quantity,
            amount=from_nanos(entry.nanos),
            unit=entry.unit,
            held_until=entry.release_day,
            at=entry.at,
        )


class PaidBody(WireModel):
    """What names the transfer to whoever made it."""

    reference: Annotated[Identifier, Field(max_length=256)]


class SettledView(WireModel):
    """What a run came to: entries made, payouts made, and what there is to look into.

    `nobody`: days with usage that no beneficiary can be told of. `unclaimed`: earnings of customers
    that nobody has made. `waiting`: payouts for which too many grants are open. `later` is left for
    a later run: days that are not over, and what there was no time for.
    """

    accrued: int
    paid: int
    nobody: int
    unclaimed: int
    waiting: int
    failed: int
    later: int


class EarningsRecountView(WireModel):
    """What a recount came to: entries made, days with usage that no beneficiary can be told of.

    `later`: days, under each rule, that the schedule counts: they are not over, or there was no
    time for them.
    """

    accrued: int
    nobody: int
    later: int
