"""Planted bugs in corrections: what they take back, put instead, and give back."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from shared.adapters.dynamodb.usage_events import to_item
from shared.domain import corrections as corrections_module
from shared.domain import folding, hour_writes, rating, records
from shared.domain.accounts import Account, Totals
from shared.domain.corrections import History
from shared.domain.credits import Purse, draw_order
from shared.domain.errors import VersionConflictError
from shared.domain.events import EPOCH, Measurement, UsageEvent, Value
from shared.domain.folding import Fold
from shared.domain.rating import Charge
from shared.domain.reconciliation import RECONCILE
from shared.services import correcting, revaluing
from shared.services.changes import PutIdempotencyKey
from tests.fakes.corrections import MemoryCorrectionStore
from tests.simulation.mutants.planting import Patch, mutant, unconditional


def _reverses(event: UsageEvent) -> bool:
    return event.reversed_key is not None


# -- what is stored


@mutant
def cancelled_is_corrected_again() -> Sequence[Patch]:
    """What was cancelled is taken for what counted last, and nobody looks whether it is there."""

    def effective(self: History) -> UsageEvent:
        return replace(self.in_force, correction=None)

    def commit(self: Any, entries: Sequence[UsageEvent], beside: Any) -> None:
        if any((entry.customer, entry.key) in self._events.items for entry in entries):
            raise VersionConflictError
        self._billing.commit(beside)
        for entry in entries:
            self._events.put((entry.customer, entry.key), to_item(entry))

    unchecked = MemoryCorrectionStore, "commit", commit
    return [(History, "effective", property(effective)), unchecked]


@mutant
def corrected_as_it_was_sent() -> Sequence[Patch]:
    """A second correction takes back what was sent, not what counts since the first."""
    return [(History, "in_force", property(lambda self: self.event))]


@mutant
def corrected_by_two_at_once() -> Sequence[Patch]:
    """Of two who correct an event at once, the slower one overwrites what the other stored."""
    right = MemoryCorrectionStore.commit

    def wrong(self: Any, entries: Sequence[UsageEvent], beside: Any) -> None:
        for entry in entries:
            self._events.items.pop((entry.customer, entry.key), None)
        right(self, entries, beside)

    return [(MemoryCorrectionStore, "commit", wrong)]


@mutant
def correction_key_ignored() -> Sequence[Patch]:
    """A repeat of what was answered corrects what others have corrected since."""
    unused = (correcting.Correcting, "_answered", lambda *_: None)
    return [unused, unconditional(PutIdempotencyKey)]


@mutant
def replacement_lost() -> Sequence[Patch]:
    """Other data is to count, and the event is cancelled."""
    right = corrections_module.correct

    def wrong(*arguments: Any) -> tuple[UsageEvent, ...]:
        return right(*arguments)[:1]

    return [(correcting, "correct", wrong)]


# -- what counts


@mutant
def reversal_not_in_usage_hours() -> Sequence[Patch]:
    """What comes down the stream is passed by; reconciliation adds it as if it were lost."""
    add = hour_writes._add

    def wrong(hour: Any, record: Any, measurement: Any, shard: str, now: int) -> Any:
        after = add(hour, record, measurement, shard, now)
        passed = _reverses(record.event) and shard != RECONCILE
        return replace(after, quarters=hour.quarters) if passed else after

    return [(hour_writes, "_add", wrong)]


@mutant
def reversal_not_in_the_account() -> Sequence[Patch]:
    right = Fold._apply

    def wrong(self: Fold, record: Any) -> None:
        if not _reverses(record.event) or self.shard == RECONCILE:
            right(self, record)

    return [(Fold, "_apply", wrong)]


@mutant
def reversal_charged_twice() -> Sequence[Patch]:
    right = folding.charge

    def wrong(account: Account, place: Any, measurement: Any, event: Any, terms: Any) -> Account:
        charged = right(account, place, measurement, event, terms)
        return right(charged, place, measurement, event, terms) if _reverses(event) else charged

    return [(folding, "charge", wrong)]


@mutant
def late_reversal_not_credited() -> Sequence[Patch]:
    """What is taken back of a closed period is named as late, and is on no later invoice."""
    right = folding.charge

    def wrong(account: Account, place: Any, measurement: Any, event: Any, terms: Any) -> Account:
        charged = right(account, place, measurement, event, terms)
        number, late = place[0].number, charged.late
        if place[1] is None or not _reverses(event):
            return charged
        was = account.late.get(number) or tuple(Totals() for _ in late[number])
        free = tuple(
            replace(now, amount=old.amount, overage=old.overage, drawn=old.drawn)
            for now, old in zip(late[number], was, strict=True)
        )
        return replace(charged, late={**late, number: free}, grants=account.grants)

    return [(folding, "charge", wrong)]


@mutant
def replacement_in_the_old_group() -> Sequence[Patch]:
    """A replacement is metered under the dimension values that the event was sent with."""
    right = records.measure
    sent: dict[tuple[str, str], dict[str, Value]] = {}

    def wrong(event: UsageEvent, meter: Any) -> Measurement | None:
        key = event.customer, event.corrected_key
        if event.correction is None:
            sent[key] = dict(event.data)
        measured, before = right(event, meter), sent.get(key, {})
        if measured is None or event.entry == 0 or _reverses(event):
            return measured
        old = {name: before.get(name, value) for name, value in measured.dimensions.items()}
        return replace(measured, dimensions={name: str(value) for name, value in old.items()})

    return [(records, "measure", wrong)]


# -- what is left of maxima and distinct values


@mutant
def maximum_stays() -> Sequence[Patch]:
    """A maximum that was taken back is still what the account counted."""
    return [(revaluing, "_fall", lambda *_: Decimal(0))]


@mutant
def distinct_value_stays() -> Sequence[Patch]:
    """A value that no event has any more is still billed."""
    return [(revaluing.Revaluing, "_unclaimed", lambda *_: set())]


@mutant
def hours_not_counted_anew() -> Sequence[Patch]:
    return [(revaluing.Revaluing, "_mend_hours", lambda *_: None)]


# -- money


@mutant
def credits_never_given_back() -> Sequence[Patch]:
    """A reversal of usage that had drawn credits leaves them drawn."""
    return [(Purse, "give_back", lambda self, *_: (0, self))]


@mutant
def allowances_never_given_back() -> Sequence[Patch]:
    right = Purse.give_back

    def wrong(self: Purse, unit: str, *arguments: Any) -> tuple[int, Purse]:
        return (0, self) if unit.startswith("meter:") else right(self, unit, *arguments)

    return [(Purse, "give_back", wrong)]


@mutant
def credits_given_back_before_overage() -> Sequence[Patch]:
    """Credits go back though the usage had drawn fewer, and overage stays to be paid."""
    right = rating.settle

    def wrong(rate: Any, totals: Totals, at: Any, purse: Purse, since: Any = None) -> Charge:
        if since is None or totals.overage <= 0:
            return right(rate, totals, at, purse, since)
        drawn = replace(totals, drawn=totals.drawn + totals.overage, overage=0)
        charge = right(rate, drawn, at, purse, since)
        after = charge.totals
        back = replace(
            after, drawn=after.drawn - totals.overage, overage=after.overage + totals.overage
        )
        return replace(charge, totals=back)

    return [(rating, "settle", wrong)]


@mutant
def given_back_to_what_is_over() -> Sequence[Patch]:
    """Grants that expired or rolled over meanwhile take credits back."""
    right = Purse.give_back

    def wrong(self: Purse, unit: str, nanos: int, meter: str, at: Any, _: Any) -> Any:
        return right(self, unit, nanos, meter, at, EPOCH)

    return [(Purse, "give_back", wrong)]


@mutant
def given_back_to_what_was_drawn_first() -> Sequence[Patch]:
    right = Purse.give_back

    def wrong(self: Purse, unit: str, nanos: int, *arguments: Any) -> tuple[int, Purse]:
        given, remaining = 0, self.remaining
        for grant in sorted(self.grants, key=draw_order):
            alone = Purse([grant], remaining)
            part, after = right(alone, unit, nanos - given, *arguments)
            given, remaining = given + part, after.remaining
        return given, Purse(self.grants, remaining)

    return [(Purse, "give_back", wrong)]


@mutant
def lowered_without_giving_back() -> Sequence[Patch]:
    """Where a maximum or a distinct value is counted anew, its credits stay drawn."""
    right = revaluing.charge

    def wrong(account: Account, place: Any, measurement: Any, event: Any, terms: Any) -> Account:
        return right(account, place, measurement, replace(event, correction=None), terms)

    return [(revaluing, "charge", wrong)]
