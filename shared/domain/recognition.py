"""Revenue recognition: what invoices and drafts charge, by the time that it is for.

An amount is earned evenly over its service period, second by second: a year's fee is not January's
revenue. Spans of time that lie end to end earn exactly the amount together.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from shared.domain.events import utc_time
from shared.domain.invoices import LineKind
from shared.domain.money import from_nanos, to_nanos
from shared.domain.periods import prorate

Part = Literal["fees", "usage", "minimums", "discounts", "packs", "credits", "breakage"]

# What carries credit from one invoice to another earns nothing.
PARTS: Mapping[LineKind, Part | None] = {
    "fee": "fees",
    "proration": "fees",
    "usage": "usage",
    "credits_applied": "usage",
    "overage": "usage",
    "minimum": "minimums",
    "discount": "discounts",
    "add_on": "packs",
    "carried_forward": None,
    "brought_forward": None,
}


@dataclass(frozen=True, slots=True)
class Charge:
    """An amount for [start, end), or all at once where these are one.

    `nanos` are of the currency. `billed_at` is when it was invoiced, None as long as it is not.
    """

    part: Part
    plan: str
    meter: str
    currency: str
    start: datetime
    end: datetime
    nanos: int
    billed_at: datetime | None

    def within(self, start: datetime, end: datetime) -> Decimal:
        """What of it is earned in [start, end)."""
        if self.start >= self.end:
            return from_nanos(self.nanos) if start <= self.start < end else Decimal(0)
        return from_nanos(self._until(end) - self._until(start))

    def _until(self, at: datetime) -> int:
        """What of it is earned before the instant."""
        at = min(max(at, self.start), self.end)
        part, whole = (int((t - self.start).total_seconds()) for t in (at, self.end))
        return prorate(self.nanos, part, whole) if whole else self.nanos * (at >= self.end)


def charges_of(document: Mapping[str, Any], now: datetime | None = None) -> Iterator[Charge]:
    """What an invoice's document charges; of a draft (with `now`) usage is for the time up to now.

    What a draft has for the time after its own period is the next one's, as fees are: a discount.
    A pack is earned when it is sold; one that recurs is charged with the fees, and earned as these.
    """
    finalized, sold = document["finalized_at"], document["kind"] == "add_on"
    for line in document["lines"]:
        part = PARTS[line["type"]]
        if part is None:
            continue
        start, end = (utc_time(line["service_period"][bound]) for bound in ("start", "end"))
        if sold:
            end = start
        elif (
            now is not None
            and part not in ("fees", "packs")
            and start < utc_time(document["period"]["end"])
        ):
            end = max(start, min(end, now))
        yield Charge(
            part=part,
            plan=line["plan"],
            meter=line.get("meter") or "",
            currency=document["currency"],
            start=start,
            end=end,
            nanos=to_nanos(Decimal(line["amount"])),
            billed_at=utc_time(finalized) if finalized else None,
        )
