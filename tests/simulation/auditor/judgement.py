"""All checks together."""

from collections import defaultdict
from collections.abc import Iterator

from tests.simulation.auditor import (
    corrections,
    derived,
    fees,
    grants,
    invoices,
    packs,
    periods,
    rating,
    reservations,
    steps,
    usage,
)
from tests.simulation.auditor.evidence import Evidence, Finding, Plain
from tests.simulation.auditor.picture import Picture

INVARIANTS = ("V1", "V2", "V3", "V4", "V5", "V6", "V7", "V8", "V9", "V13", "V15")


def audit(evidence: Evidence) -> list[Finding]:
    """Everything that is wrong; complete only where all is settled."""
    return list(_findings(evidence))


def _findings(evidence: Evidence) -> Iterator[Finding]:
    if evidence.settled:
        yield from usage.acknowledged_is_durable(evidence)
        yield from usage.nothing_is_stuck(evidence)
        yield from corrections.corrections_are_kept(evidence)
    yield from invoices.numbers_have_no_gap(evidence)
    for order in evidence.contradictions:
        yield Finding("V5", f"a repeated order was answered anew: {order}")
    raw: dict[str, list[Plain]] = defaultdict(list)
    for item in evidence.raw:
        raw[item["pk"]].append(item)
    for customer in sorted({*evidence.customers, *raw}):
        yield from _of_customer(Picture(evidence, customer, raw[customer]))


def _of_customer(picture: Picture) -> Iterator[Finding]:
    if not picture.evidence.settled:
        yield from invoices.one_invoice_a_period(picture)
        return
    yield from usage.hours_are_recounted(picture)
    yield from usage.raw_is_partitioned(picture)
    yield from usage.only_losses_are_repaired(picture)
    yield from grants.ledger_explains_balances(picture)
    yield from reservations.reserved_is_held(picture)
    yield from reservations.reservations_are_those_told(picture)
    taken = steps.Steps(picture)
    yield from reservations.events_settle_what_they_name(picture, taken)
    yield from packs.packs_are_as_sold(picture)
    flows = grants.follow(picture)
    yield from grants.grants_are_conserved(picture, flows)
    yield from grants.double_entry_is_balanced(picture, flows)
    yield from grants.expired_is_not_drawn(picture)
    yield from rating.usage_is_rated(picture)
    yield from rating.credits_come_first(picture, flows)
    yield from rating.order_is_kept(picture)
    yield from steps.single_events_move_their_worth(picture, flows, taken)
    yield from periods.phases_tile_time(picture)
    yield from periods.closed_periods_hold_their_events(picture)
    yield from invoices.one_invoice_a_period(picture)
    yield from invoices.lines_are_rerated(picture)
    yield from invoices.late_lines_continue(picture)
    yield from derived.true_ups_are_due(picture)
    yield from derived.discounts_are_taken_once(picture)
    yield from fees.fees_are_charged_once(picture)
    yield from fees.seats_are_charged(picture)
    yield from fees.credit_is_carried(picture)
