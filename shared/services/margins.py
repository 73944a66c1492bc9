"""What one customer brought in, and what its usage cost to serve."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from shared.domain.catalogue import Catalogue
from shared.domain.costing import Costing
from shared.domain.credits import Grant
from shared.domain.customers import Customer
from shared.domain.errors import UnavailableError
from shared.domain.events import utc_time
from shared.domain.invoices import invoice_id
from shared.domain.liability import flows, kind_of, value_of
from shared.domain.money import EXACT, from_nanos
from shared.domain.periods import Period
from shared.domain.recognition import Charge, Part, charges_of
from shared.domain.segments import Segment
from shared.domain.shares import shares_of_hour
from shared.domain.usage_hours import floor_hour
from shared.services.audience import Budget
from shared.services.invoicing import upcoming_invoice
from shared.services.ledger_moves import moves_since
from shared.services.past_plans import phases_since, plan_at
from shared.services.past_usage import PastUsage
from shared.services.reports import Amounts, GroupBy, Report, RowKey
from shared.services.standing import Books

INVOICES_READ = 100
# A fee is for the year after its invoice's period at the most.
LONGEST_AHEAD = timedelta(days=367)


class _Place(NamedTuple):
    """Where an amount belongs; what was paid for credits is of no plan and meter."""

    window: int
    currency: str
    plan: str = ""
    meter: str = ""


@dataclass(frozen=True, slots=True)
class Margins:
    """Reports on one customer at a time, on contiguous windows."""

    books: Books
    usage: PastUsage
    catalogue: Catalogue
    windows: Sequence[Period]
    group_by: Sequence[GroupBy]
    segments: Sequence[Segment]
    costs: bool

    def report(self, customer: Customer, budget: Budget) -> Report:
        """The customer's rows.

        Raises: OverBudgetError.
        """
        report = Report()
        grants = self.books.store.all_grants(customer.key)
        paid = [grant for grant in grants if kind_of(grant).basis is not None]
        budget.spend(1 + len(grants))
        self._add_charges(report, customer, _prepaid_packs(customer, paid), budget)
        if paid:
            self._add_credits(report, customer, paid, budget)
        if self.costs:
            self._add_costs(report, customer, budget)
        return report

    def _add_charges(
        self, report: Report, customer: Customer, prepaid: set[str], budget: Budget
    ) -> None:
        """What invoices and drafts charge, but for packs that are earned as they are drawn."""
        for document, charge in self._charges(customer, budget):
            deferred = charge.part == "packs" and document in prepaid
            for number, window in enumerate(self.windows):
                amount = Decimal(0) if deferred else charge.within(window.start, window.end)
                billed = charge.billed_at
                invoiced = billed is not None and window.start <= billed < window.end
                if not amount and not (invoiced and charge.nanos):
                    continue
                place = _Place(number, charge.currency, charge.plan, charge.meter)
                for row in self._rows(report, customer, place):
                    row.earn(charge.part, amount)
                    if billed is None:
                        row.accrued = EXACT.add(row.accrued, amount)
                    if invoiced:
                        row.invoiced = EXACT.add(row.invoiced, from_nanos(charge.nanos))

    def _charges(self, customer: Customer, budget: Budget) -> Iterator[tuple[str, Charge]]:
        """The charges of every document that can be for the time asked about, with its id."""
        # Drafts before invoices: what is finalized in between is then read twice, and told by id.
        drafts = {str(draft["id"]): draft for draft in self._drafts(customer)}
        now = self.books.now(customer)
        cursor: str | None = None
        while True:
            page = self.books.store.invoices(customer.key, INVOICES_READ, cursor)
            budget.spend(1 + len(page.items))
            for document in page.items:
                drafts.pop(str(document["id"]), None)
                yield from ((str(document["id"]), e) for e in charges_of(document))
            cursor = page.cursor
            if cursor is None or _ends_before(page.items[-1], self.windows[0]):
                break
        for key, draft in drafts.items():
            yield from ((key, charge) for charge in charges_of(draft, now))

    def _drafts(self, customer: Customer) -> list[Mapping[str, Any]]:
        try:
            draft: Mapping[str, Any] = upcoming_invoice(self.books, customer.key)
        except UnavailableError:
            return []  # It has no account yet, so nothing is billed.
        return [draft, *draft["closing"]]

    def _add_credits(
        self, report: Report, customer: Customer, paid: Sequence[Grant], budget: Budget
    ) -> None:
        """Credits that were paid for, as they were drawn and as they expired."""
        start = self.windows[0].start
        known = moves_since(self.books.store, customer, start, budget)
        for number, window in enumerate(self.windows):
            found = flows(paid, known.held, known.moves, window.start, window.end)
            for kind, flow in found.items():
                earned: tuple[tuple[Part, int], ...] = (
                    ("credits", flow.used),
                    ("breakage", flow.expired),
                )
                for part, nanos in earned:
                    if nanos:
                        place = _Place(number, kind.currency or "")
                        for row in self._rows(report, customer, place):
                            row.earn(part, value_of(kind, nanos))

    def _add_costs(self, report: Report, customer: Customer, budget: Budget) -> None:
        """What usage cost, by its own time, backfilled usage among it."""
        start, end = self.windows[0].start, self.windows[-1].end
        by_plan = "plan" in self.group_by
        phases = phases_since(self.books.store, customer, start, budget) if by_plan else []
        for key in self.catalogue.costs:
            meter = self.catalogue.meters[key]
            for hour in self.usage.hours(customer.key, meter, floor_hour(start), end, budget):
                for share in shares_of_hour(meter, hour):
                    if not start <= share.at < end:
                        continue
                    costing = Costing(self.catalogue)
                    costing.add(share)
                    number = bisect_right(self.windows, share.at, key=lambda w: w.start) - 1
                    plan = plan_at(phases, share.at)
                    for currency, cost in costing.costs.items():
                        place = _Place(number, currency, plan, key)
                        for row in self._rows(report, customer, place):
                            row.cost = EXACT.add(row.cost, cost)
                    report.add(Report(uncosted=costing.uncosted))

    def _rows(self, report: Report, customer: Customer, place: _Place) -> list[Amounts]:
        """The rows that an amount is in: one, or one for each of the customer's segments."""
        segments = [""]
        if "segment" in self.group_by:
            segments = [each.key for each in self.segments if each.holds(customer)] or [""]
        known = {"customer": customer.key, "plan": place.plan, "meter": place.meter}
        groups = ({**known, "segment": segment} for segment in segments)
        keys = (tuple(group[name] for name in self.group_by) for group in groups)
        return [report.row(RowKey(place.window, place.currency, key)) for key in keys]


def _prepaid_packs(customer: Customer, paid: Sequence[Grant]) -> set[str]:
    """The invoices of packs whose credits are earned as they are drawn."""
    references = (grant.id.rpartition("-")[0] for grant in paid if grant.source == "add_on")
    return {invoice_id(customer.key, "add_on", reference) for reference in references}


def _ends_before(document: Any, window: Period) -> bool:
    """Whether nothing that is older than this invoice can be for the time asked about."""
    return utc_time(document["period"]["end"]) + LONGEST_AHEAD < window.start
