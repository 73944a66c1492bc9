"""Planted bugs: each must be caught by a named invariant, not by an exception.

A mutant replaces one function of the system by one that is wrong. `python -m
tests.simulation.mutants` plays seeds until each is caught, and prints which invariants saw it.
"""

import argparse
import multiprocessing
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from unittest import mock

from shared.domain import (
    carrying,
    closing,
    dimension_cap,
    discounts,
    folding,
    granting,
    hour_writes,
    invoices,
    opening,
    placing,
    pricing,
    rating,
    subscriptions,
    usage_hours,
)
from shared.domain import credits as credits_module
from shared.domain.accounts import Account
from shared.domain.catalogue import Plan
from shared.domain.checkpoints import Checkpoints, shard_hash
from shared.domain.credits import Grant, Purse
from shared.domain.errors import VersionConflictError
from shared.domain.events import UsageEvent, canonical_json
from shared.domain.folding import Fold
from shared.domain.invoices import Invoice
from shared.domain.ledger import entry_between
from shared.domain.periods import Span
from shared.services import (
    aggregate,
    billing_run,
    bookkeeping,
    finalizing,
    ingest,
    journal,
    looks,
    metering,
    reconcile,
    recounting,
    repairing,
    subscribing,
)
from shared.services import granting as granting_service
from shared.services.changes import (
    MarkRedriven,
    PutClosedPhase,
    PutIdempotencyKey,
    PutLateUsage,
    PutLedgerEntry,
    SaveAccount,
    SaveUsageHour,
)
from tests.fakes.billing_store import MemoryBillingStore
from tests.simulation.auditor import INVARIANTS
from tests.simulation.faults import SkewedClock
from tests.simulation.mix import FAULTS, Options, draw_mix
from tests.simulation.runs import play

MAX_SEEDS = 1000
Patch = tuple[Any, str, Any]

MUTANTS: dict[str, Callable[[], Sequence[Patch]]] = {}


def mutant(build: Callable[[], Sequence[Patch]]) -> Callable[[], Sequence[Patch]]:
    """Registers a planted bug under its function's name."""
    MUTANTS[build.__name__.replace("_", "-")] = build
    return build


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The bug is in the system while the block runs."""
    with ExitStack() as stack:
        for target, attribute, wrong in MUTANTS[name]():
            stack.enter_context(mock.patch.object(target, attribute, wrong))
        yield


def _unconditional(kind: type) -> Patch:
    """A commit whose condition on one kind of change is dropped."""
    holds = MemoryBillingStore._holds

    def wrong(self: MemoryBillingStore, change: Any) -> bool:
        return isinstance(change, kind) or holds(self, change)

    return MemoryBillingStore, "_holds", wrong


# -- conditions and checkpoints


@mutant
def account_version_not_checked() -> Sequence[Patch]:
    return [_unconditional(SaveAccount)]


@mutant
def hour_checkpoint_not_checked() -> Sequence[Patch]:
    return [_unconditional(SaveUsageHour)]


@mutant
def ledger_entry_overwritten() -> Sequence[Patch]:
    """Whoever comes last stands, and the journal knows less than a person's own entry."""
    return [_unconditional(PutLedgerEntry)]


@mutant
def sequence_numbers_compared_as_text() -> Sequence[Patch]:
    def wrong(self: Checkpoints, shard: str, sequence: int) -> bool:
        position = self.positions.get(shard_hash(shard))
        return position is not None and str(sequence) <= str(position.sequence)

    return [(Checkpoints, "applied", wrong)]


@mutant
def account_checkpoint_skipped() -> Sequence[Patch]:
    def wrong(self: Fold, sequence: int) -> None:
        self._pending = True

    return [(Fold, "_advance", wrong)]


@mutant
def hour_checkpoint_skipped() -> Sequence[Patch]:
    add = hour_writes._add

    def wrong(hour: Any, *arguments: Any) -> Any:
        return replace(add(hour, *arguments), checkpoints=hour.checkpoints)

    return [(hour_writes, "_add", wrong)]


@mutant
def other_shards_checkpoints_dropped() -> Sequence[Patch]:
    advanced = Checkpoints.advanced

    def wrong(self: Checkpoints, shard: str, sequence: int, now: int) -> Checkpoints:
        return advanced(Checkpoints(), shard, sequence, now)

    return [(Checkpoints, "advanced", wrong)]


@mutant
def redelivered_record_counted_again() -> Sequence[Patch]:
    """Skips only what is below the checkpoint, not what is at it."""

    def wrong(self: Checkpoints, shard: str, sequence: int) -> bool:
        position = self.positions.get(shard_hash(shard))
        return position is not None and sequence < position.sequence

    return [(Checkpoints, "applied", wrong)]


# -- ingest


def _store_as(wrong_outcome: Callable[[str], str]) -> Patch:
    store = ingest.Ingest._store

    def wrong(self: Any, events: Any, keys: Any, prints: Any, known: Any) -> list[str]:
        outcomes = store(self, events, keys, prints, known)
        return [wrong_outcome(outcome) for outcome in outcomes]

    return ingest.Ingest, "_store", wrong


@mutant
def acknowledged_before_durable() -> Sequence[Patch]:
    return [_store_as(lambda outcome: "accepted" if outcome == "unknown" else outcome)]


@mutant
def duplicate_accepted_as_new() -> Sequence[Patch]:
    return [_store_as(lambda outcome: "accepted" if outcome == "duplicate" else outcome)]


@mutant
def changed_resend_called_duplicate() -> Sequence[Patch]:
    return [_store_as(lambda outcome: "duplicate" if outcome == "conflict" else outcome)]


@mutant
def fingerprint_without_data() -> Sequence[Patch]:
    def wrong(self: UsageEvent) -> bytes:
        return canonical_json([self.type]).encode()

    return [(UsageEvent, "fingerprint", property(wrong))]


# -- quarantine


@mutant
def unreadable_record_dropped() -> Sequence[Patch]:
    measured = aggregate._measured

    def wrong(records: Any, catalogue: Any) -> Any:
        return measured(records, catalogue)[0], []

    return [(aggregate, "_measured", wrong)]


@mutant
def quarantine_not_looked_up() -> Sequence[Patch]:
    return [(MemoryBillingStore, "quarantined", lambda *_: set())]


@mutant
def quarantined_applied_twice() -> Sequence[Patch]:
    """A redrive does not see that another came first."""
    right = MemoryBillingStore.quarantined_record

    def wrong(self: MemoryBillingStore, customer: str, key: str) -> Any:
        record = right(self, customer, key)
        return record and replace(record, redriven_at=None)

    return [(MemoryBillingStore, "quarantined_record", wrong), _unconditional(MarkRedriven)]


# -- rating and credits


@mutant
def rounded_per_record() -> Sequence[Patch]:
    """Each record's price is rounded to a hundredth by itself."""
    charge = rating._charge_difference

    def wrong(rate: Any, totals: Any, at: Any, purse: Any) -> Any:
        charged = charge(rate, totals, at, purse)
        due = charged.totals.amount - totals.amount
        lost = due - due // 10**7 * 10**7
        short = min(lost, charged.totals.overage)
        amount, overage = charged.totals.amount - short, charged.totals.overage - short
        return replace(charged, totals=replace(charged.totals, amount=amount, overage=overage))

    return [(rating, "_charge_difference", wrong)]


@mutant
def first_bound_exclusive() -> Sequence[Patch]:
    """A quantity that equals a bound already pays the next tier's flat fee."""
    graduated = pricing.graduated

    def wrong(tiers: Any, quantity: Decimal) -> Any:
        bounds = {tier.up_to for tier in tiers}
        return graduated(
            tiers, quantity + Decimal("0.000000001") if quantity in bounds else quantity
        )

    return [(pricing, "graduated", wrong)]


@mutant
def last_matching_rate_wins() -> Sequence[Patch]:
    def wrong(plan: Any, measurement: Any) -> int | None:
        found = None
        for index, rate in enumerate(plan.rate_cards):
            if rate.matches(measurement.meter, measurement.dimensions):
                found = index
        return found

    return [(folding, "rate_card_index", wrong)]


@mutant
def allowance_not_taken_off() -> Sequence[Patch]:
    price = rating.price_nanos

    def wrong(rate_price: Any, usage: Any) -> int:
        more = replace(usage, quantity=usage.quantity + 1) if usage.quantity else usage
        return price(rate_price, more)

    return [(rating, "price_nanos", wrong)]


@mutant
def falling_price_charged_at_once() -> Sequence[Patch]:
    """A volume price is charged as usage comes, not when its period closes."""
    return [(rating, "can_fall", lambda price, *, averaged: False)]


@mutant
def falling_price_never_charged() -> Sequence[Patch]:
    """Closing leaves volume prices as usage left them."""
    return [(closing, "can_fall", lambda price, *, averaged: False)]


@mutant
def average_priced_as_a_sum() -> Sequence[Patch]:
    """What an average costs is computed from the sum of the events."""
    return [(rating, "mean", lambda value, count: value)]


@mutant
def single_events_rounded_together() -> Sequence[Patch]:
    """A price by event counts the events' cost in hundredths."""
    cost = rating.event_nanos

    def wrong(*arguments: Any) -> int:
        nanos: int = cost(*arguments) // 10**7 * 10**7
        return nanos

    return [(rating, "event_nanos", wrong)]


@mutant
def expired_grant_drawn() -> Sequence[Patch]:
    def wrong(self: Grant, instant: Any) -> bool:
        return instant >= self.effective_at

    return [(Grant, "active_at", wrong)]


@mutant
def drawn_in_the_order_of_ids() -> Sequence[Patch]:
    return [(credits_module, "draw_order", lambda grant: grant.id)]


@mutant
def later_grants_never_drawn() -> Sequence[Patch]:
    draw = Purse.draw

    def wrong(self: Purse, unit: str, nanos: int, meter: str, at: Any) -> Any:
        first = sorted(self.grants, key=credits_module.draw_order)[:2]
        taken, _ = draw(Purse(first, self.remaining), unit, nanos, meter, at)
        after = draw(Purse(first, self.remaining), unit, taken, meter, at)[1]
        return taken, Purse(self.grants, after.remaining)

    return [(Purse, "draw", wrong)]


@mutant
def draw_not_taken_from_the_grant() -> Sequence[Patch]:
    draw = Purse.draw

    def wrong(self: Purse, unit: str, nanos: int, meter: str, at: Any) -> Any:
        taken, after = draw(self, unit, nanos, meter, at)
        return taken, after if taken != nanos else self

    return [(Purse, "draw", wrong)]


@mutant
def broken_before_its_usage() -> Sequence[Patch]:
    """A grant's remainder is breakage at once when it expires, without the grace."""
    right = closing.break_expired

    def wrong(account: Any, grants: Any, now: Any, grace: timedelta) -> Any:
        return right(account, grants, now, timedelta())

    return [(billing_run, "break_expired", wrong)]


@mutant
def breakage_posted_twice() -> Sequence[Patch]:
    def wrong(before: Any, after: Any, at: Any, kind: Any, cause: Any) -> Any:
        entry = entry_between(before, after, at, kind, cause)
        if kind != "breakage":
            return entry
        twice = {u: {g: 2 * n for g, n in moved.items()} for u, moved in entry.changes.items()}
        return replace(entry, changes=twice)

    return [(billing_run, "entry_between", wrong)]


@mutant
def void_leaves_the_rest() -> Sequence[Patch]:
    right = granting.void_grant

    def wrong(account: Account, grant: Grant, now: Any) -> Any:
        outcome = right(account, grant, now)
        return outcome and (replace(account, version=account.version + 1), outcome[1])

    return [(granting_service, "void_grant", wrong)]


@mutant
def idempotency_key_ignored() -> Sequence[Patch]:
    unused = (MemoryBillingStore, "idempotent_answer", lambda *_: None)
    return [unused, _unconditional(PutIdempotencyKey)]


# -- openings


def _rolled(change: Callable[[Any, Any, Any], Any]) -> Patch:
    right = opening.roll_over

    def wrong(account: Any, grants: Any, span: Any, number: int) -> Any:
        return change(account, grants, lambda a, g: right(a, g, span, number))

    return opening, "roll_over", wrong


@mutant
def rollover_without_cap() -> Sequence[Patch]:
    def roll(account: Any, grants: Sequence[Grant], right: Any) -> Any:
        caps = {g.id: g.rollover_max for g in grants}
        uncapped = [replace(g, rollover_max=10**18 if caps[g.id] else 0) for g in grants]
        rolled, remaining = right(account, uncapped)
        cap = max(caps.values(), default=0)
        return tuple(replace(g, rollover_max=cap) for g in rolled), remaining

    return [_rolled(roll)]


@mutant
def rollover_makes_money() -> Sequence[Patch]:
    """What rolls over also stays with the grant it came from."""

    def roll(account: Any, grants: Any, right: Any) -> Any:
        return right(account, grants)[0], account.grants

    return [_rolled(roll)]


@mutant
def recurring_grant_counted_twice() -> Sequence[Patch]:
    given = opening.plan_grants

    def wrong(customer: str, plan: Any, span: Any, number: int) -> Any:
        grants = given(customer, plan, span, number)
        return tuple(replace(g, amount=2 * g.amount) if number > 1 else g for g in grants)

    return [(opening, "plan_grants", wrong)]


@mutant
def proration_a_second_off() -> Sequence[Patch]:
    share = Span.share

    def wrong(self: Span, nanos: int) -> int:
        if self.start == self.whole_start:
            return share(self, nanos)
        return share(replace(self, start=self.start - timedelta(seconds=1)), nanos)

    return [(Span, "share", wrong)]


@mutant
def periods_in_utc() -> Sequence[Patch]:
    right = opening.period_containing

    def wrong(interval: Any, mode: Any, anchor: Any, timezone: str, instant: Any) -> Any:
        return right(interval, mode, anchor, "UTC", instant)

    return [(opening, "period_containing", wrong)]


@mutant
def change_of_plan_cuts_off_usage() -> Sequence[Patch]:
    def wrong(now: Any, phase: Any) -> Any:
        return min(max(now, phase.start), phase.end)

    return [(subscriptions, "_not_before_usage", wrong)]


@mutant
def fee_charged_again_after_a_change() -> Sequence[Patch]:
    """The period's own invoice charges in advance what the change has charged."""
    right = closing.upcoming_fee

    def wrong(account: Account, *arguments: Any) -> Any:
        phases = tuple(replace(p, fee_invoiced=False) for p in account.phases)
        return right(replace(account, phases=phases), *arguments)

    return [(closing, "upcoming_fee", wrong)]


@mutant
def used_up_plan_gives_its_fee_back() -> Sequence[Patch]:
    return [(subscriptions, "_fee_of_unused", lambda _account, paid, *_: paid.fee_nanos)]


@mutant
def trial_starts_again() -> Sequence[Patch]:
    right = opening._trial_end

    def wrong(terms: Any, plan: Any, at: Any) -> Any:
        return right(replace(terms, trial_started_at=None), plan, at)

    return [(opening, "_trial_end", wrong)]


@mutant
def pause_is_billed() -> Sequence[Patch]:
    right = Plan.in_force
    return [(Plan, "in_force", lambda plan, _state, seats: right(plan, "active", seats))]


@mutant
def old_seats_not_credited() -> Sequence[Patch]:
    def wrong(account: Any, terms: Any, *, current: Any, quantity: int, now: Any) -> Any:
        one = replace(terms, quantity=1)
        return right(account, one, current=current, quantity=quantity, now=now)

    right = subscriptions.change_quantity
    return [(subscribing, "change_quantity", wrong)]


@mutant
def credit_left_over_is_lost() -> Sequence[Patch]:
    def wrong(invoice: Invoice, credit: int) -> tuple[Invoice, int]:
        return carrying.carry(invoice, credit)[0], 0

    return [(discounts, "carry", wrong)]


# -- closing, late usage, invoices


@mutant
def late_line_forgotten() -> Sequence[Patch]:
    right = closing.period_invoice

    def wrong(account: Account, *arguments: Any, **options: Any) -> Invoice:
        return right(replace(account, late={}), *arguments, **options)

    return [(closing, "period_invoice", wrong)]


@mutant
def late_event_not_named() -> Sequence[Patch]:
    changes = aggregate.Aggregator._changes

    def wrong(self: Any, step: Any, terms: Any) -> Any:
        return [c for c in changes(self, step, terms) if not isinstance(c, PutLateUsage)]

    return [(aggregate.Aggregator, "_changes", wrong)]


@mutant
def late_usage_joins_the_open_period() -> Sequence[Patch]:
    def wrong(account: Account, closed: Any, at: Any) -> Any:
        for phase in reversed(account.phases):
            if at >= phase.start:
                return phase, None
        return account.phases[0], None

    return [(folding, "find_phase", wrong), (placing, "find_phase", wrong)]


@mutant
def late_usage_priced_from_zero() -> Sequence[Patch]:
    add = folding.add_totals

    def wrong(billed: Any, late: Any) -> Any:
        return replace(add(billed, late), amount=billed.amount)

    return [(folding, "add_totals", wrong)]


@mutant
def closed_phase_moved_on() -> Sequence[Patch]:
    """Late usage moves the frozen totals as well."""
    right = closing.close_period

    def wrong(*arguments: Any, **options: Any) -> Any:
        outcome = right(*arguments, **options)
        moved = tuple(replace(c, phase=replace(c.phase, totals=c.billed)) for c in outcome.closed)
        return replace(outcome, closed=moved)

    return [(billing_run, "close_period", wrong)]


@mutant
def period_finalized_twice() -> Sequence[Patch]:
    right = finalizing.finalize

    def wrong(store: Any, customer: Any, invoice: Invoice, now: Any) -> Any:
        store.commit([right(store, customer, replace(invoice, id=invoice.id + "x"), now)])
        return right(store, customer, invoice, now)

    return [(billing_run, "finalize", wrong)]


def _numbered(number: Callable[[int], int]) -> Patch:
    right = finalizing.finalize

    def wrong(*arguments: Any, **options: Any) -> Any:
        change = right(*arguments, **options)
        change.document["number"] = f"INV-{number(change.number):06d}"  # type: ignore[index]
        return change

    return billing_run, "finalize", wrong


@mutant
def invoice_number_reused() -> Sequence[Patch]:
    return [_numbered(lambda number: max(1, number - 1))]


@mutant
def invoice_number_skipped() -> Sequence[Patch]:
    return [_numbered(lambda number: number + 1)]


@mutant
def finalized_invoice_rewritten() -> Sequence[Patch]:
    """Closing a period corrects the customer's invoices of before."""
    make = MemoryBillingStore._make

    def wrong(self: MemoryBillingStore, change: Any) -> None:
        make(self, change)
        if isinstance(change, PutClosedPhase):
            for document_id in self.pointers.get(change.customer, {}).values():
                old = self.documents[document_id]
                self.documents[document_id] = {**old, "status": "corrected"}

    return [(MemoryBillingStore, "_make", wrong)]


@mutant
def line_rounded_down() -> Sequence[Patch]:
    def wrong(nanos: int, currency: str) -> int:
        step = 10 ** (9 - invoices_places(currency))
        return nanos // step * step

    return [(invoices, "round_to_minor", wrong)]


def invoices_places(currency: str) -> int:
    """Decimals of the currencies that seeds use."""
    return {"USD": 2, "JPY": 0, "BHD": 3}[currency]


@mutant
def total_rounded_from_exact_lines() -> Sequence[Patch]:
    """The total is the rounded sum, not the sum of what each line shows."""

    def wrong(self: Invoice) -> int:
        exact = sum(line.unit_amount for line in self.lines if line.unit == self.currency)
        return max(0, exact)

    return [(Invoice, "total", property(wrong))]


@mutant
def overage_at_the_newest_value() -> Sequence[Patch]:
    def wrong(unit: Any, _: Any, currency: str) -> Decimal:
        return [v for v in unit.values if v.currency == currency][-1].value

    return [(invoices, "overage_value", wrong)]


# -- ledger


@mutant
def journal_skips_versions() -> Sequence[Patch]:
    right = journal.journal_entry

    def wrong(change: Any) -> Any:
        if change.after.version % 7 == 3:
            raise VersionConflictError
        return right(change)

    return [(journal, "journal_entry", wrong)]


@mutant
def entry_holds_the_balance_before() -> Sequence[Patch]:
    right = journal.journal_entry

    def wrong(change: Any) -> Any:
        entry = right(change)
        before = change.before.grants if change.before else {}
        return replace(entry, remaining={unit: dict(left) for unit, left in before.items()})

    return [(journal, "journal_entry", wrong)]


# -- reconciliation, outages, test clocks


@mutant
def only_late_taken_for_lost() -> Sequence[Patch]:
    """Judges by what came a moment ago, and does not wait for the stream."""
    right = recounting.Recounting.look

    def wrong(self: Any, customer: str, spans: Any, _: Any, now: Any) -> Any:
        return right(self, customer, spans, now + timedelta(days=1), now)

    undrained = (reconcile.Reconciler, "_drain", lambda *_: None)
    return [(recounting.Recounting, "look", wrong), undrained]


@mutant
def repair_applied_twice() -> Sequence[Patch]:
    """What was repaired is found missing once more, in items as they are now."""
    right = repairing.Repairing.repair

    def wrong(self: Any, look: Any, now: Any) -> Any:
        missing = dict(look.missing)
        outcome = right(self, look, now)
        right(self, replace(look, missing=missing), now)
        return outcome

    return [(repairing.Repairing, "repair", wrong)]


@mutant
def trim_unnoticed() -> Sequence[Patch]:
    return [(looks.Look, "right", property(lambda _: True))]


@mutant
def ledger_gap_not_spanned() -> Sequence[Patch]:
    def wrong(self: Any, note: Any, account: Account, now: Any) -> Any:
        return replace(note, ledger_version=account.version, gap=None), 0, []

    return [(bookkeeping.Bookkeeping, "ledger", wrong)]


@mutant
def verdict_forgotten_after_two_days() -> Sequence[Patch]:
    """Quarantine is looked up only while the stream should still have the record."""
    right = aggregate.Aggregator._read

    def wrong(self: Any, *arguments: Any) -> Any:
        quarantined = MemoryBillingStore.quarantined

        def recent(store: MemoryBillingStore, customer: str, keys: Any) -> set[str]:
            since = self.clock.now() - timedelta(hours=48)
            aside = store.aside.get(customer, {})
            found = quarantined(store, customer, keys)
            return {key for key in found if aside[key].quarantined_at > since}

        with mock.patch.object(MemoryBillingStore, "quarantined", recent):
            return right(self, *arguments)

    return [(aggregate.Aggregator, "_read", wrong)]


@mutant
def checkpoints_aged_by_the_test_clock() -> Sequence[Patch]:
    right = aggregate.Aggregator._attempt

    def wrong(self: Any, shard: str, customer: str, *arguments: Any) -> Any:
        profile = self.store.customer(customer)
        stands_at = self.store.clock(profile.test_clock) if profile else None
        clock = SkewedClock(lambda: stands_at, timedelta()) if stands_at else self.clock
        return right(replace(self, clock=clock), shard, customer, *arguments)

    return [(aggregate.Aggregator, "_attempt", wrong)]


# -- usage hours


@mutant
def hour_of_receipt() -> Sequence[Patch]:
    """Usage is kept under the quarter hour after its own."""
    right = hour_writes.hour_key

    def wrong(customer: str, measurement: Any, at: Any) -> Any:
        return right(customer, measurement, at + timedelta(minutes=15))

    return [(hour_writes, "hour_key", wrong)]


@mutant
def winner_by_arrival() -> Sequence[Patch]:
    """Of two quantities the one that came last is kept, whichever it is."""

    def wrong(a: Any, b: Any) -> Any:
        return a if b is None else b

    return [(usage_hours, "winner", wrong)]


@mutant
def values_left_out_of_the_hours_write() -> Sequence[Patch]:
    def wrong(values: Any, *_: Any) -> Any:
        return values

    return [(hour_writes, "_with_value", wrong)]


@mutant
def value_seen_in_one_quarter_of_a_day() -> Sequence[Patch]:
    """A value that is known of the day is not noted for another quarter of it."""
    right = hour_writes._with_value

    def wrong(values: Any, seen: Any, hour: Any, record: Any, measurement: Any) -> Any:
        everywhere = dict.fromkeys(seen, frozenset(range(96)))
        return right(values, everywhere, hour, record, measurement)

    return [(hour_writes, "_with_value", wrong)]


@mutant
def claims_left_out_of_the_accounts_write() -> Sequence[Patch]:
    """A distinct value is billed again by every batch that brings it."""

    def wrong(step: Any) -> Any:
        return [PutLateUsage(late) for late in step.late]

    return [(aggregate, "beside", wrong)]


@mutant
def values_counted_with_every_usage() -> Sequence[Patch]:
    return [(folding, "counted_before", lambda measurement: measurement)]


@mutant
def maxima_summed() -> Sequence[Patch]:
    def wrong(value: Any, measurement: Any) -> Any:
        return value + measurement.quantity

    return [(rating, "value_with", wrong)]


@mutant
def registers_not_kept() -> Sequence[Patch]:
    """Each batch has its own idea of which groups were first."""

    def wrong(store: Any, hours: Any) -> Any:
        asked: dict[Any, list[Any]] = {}
        for hour in hours:
            asked.setdefault(dimension_cap.register_key(hour), []).append(hour)
        return {
            key: dimension_cap.newcomers(frozenset(), [h for h in mine if h.dimensions])
            for key, mine in asked.items()
        }

    return [(metering, "_registered", wrong)]


@dataclass(frozen=True)
class Catch:
    """How a mutant was caught: by which invariants, at which seed; by none within the bound.

    `error` is the first exception that nothing in the seeds expects: a mutant that is out of date
    has one.
    """

    name: str
    invariants: tuple[str, ...] = ()
    seed: int | None = None
    error: str = ""

    def row(self) -> str:
        """A row of the table."""
        caught = ", ".join(self.invariants) or f"NOT CAUGHT {self.error}"
        return f"{self.name:<36} {caught:<24} {self.seed}"


def hunt(name: str, seeds: Iterable[int] = range(MAX_SEEDS)) -> Catch:
    """Plays seeds until an invariant is found broken that holds without the bug."""
    error = ""
    for seed in seeds:
        with planted(name):
            verdict = play(Options(seed))
        found = {finding.invariant for finding in verdict.findings}
        if found:
            found -= {finding.invariant for finding in play(Options(seed)).findings}
        if found:
            return Catch(name, tuple(sorted(found, key=INVARIANTS.index)), seed)
        error = error or "".join(verdict.errors[:1])
    return Catch(name, error=error.strip().rpartition("\n")[2])


def likely(seeds: Iterable[int], faults: Iterable[str]) -> list[int]:
    """Those of the seeds in which all of the faults are on."""
    wanted = list(faults)
    return [seed for seed in seeds if all(draw_mix(Options(seed)).rate(each) for each in wanted)]


def main() -> int:
    """Prints the table; 1 if a mutant got away or an invariant caught none."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("names", nargs="*", help="only these mutants")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=MAX_SEEDS, help="how many of them")
    faults = parser.add_argument("--fault", action="append", default=[], choices=FAULTS)
    faults.help = "only seeds in which the fault is on, given any number of times"
    arguments = parser.parse_args()
    names = arguments.names or list(MUTANTS)
    seeds = likely(range(arguments.first, arguments.first + arguments.seeds), arguments.fault)
    with multiprocessing.Pool(arguments.processes) as pool:
        catches = []
        for catch in pool.imap(partial(hunt, seeds=seeds), names):
            print(catch.row(), flush=True)
            catches.append(catch)
    idle = [i for i in INVARIANTS if not any(i in catch.invariants for catch in catches)]
    if not arguments.names and idle:
        print(f"caught nothing: {', '.join(idle)}")
    missed = [catch.name for catch in catches if catch.seed is None]
    print(f"{len(catches)} mutants, {len(missed)} not caught")
    return 1 if missed or (idle and not arguments.names) else 0


if __name__ == "__main__":
    sys.exit(main())
