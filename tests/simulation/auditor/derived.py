"""V8: lines that are computed from other lines: true-ups to minimums, and discounts."""

from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction

from tests.simulation.auditor.arithmetic import NANO, calendar_end, half_away, to_minor
from tests.simulation.auditor.evidence import Finding, Plain
from tests.simulation.auditor.picture import PhasePicture, Picture

DISCOUNTED = {"fee", "proration", "usage", "credits_applied", "overage", "minimum", "discount"}


def true_ups_are_due(picture: Picture) -> Iterator[Finding]:
    """V8: a closed period is charged what its usage falls short of its minimum, and no more."""
    documents = {
        d["period_number"]: d for d in picture.stored.get("invoices", []) if d["kind"] == "period"
    }
    for period in sorted({p.stored["period"] for p in picture.phases if p.frozen is not None}):
        minimum = _minimum(picture, period)
        if minimum is None:
            continue
        name = f"{picture.customer} period {period}"
        document = documents.get(period, {"lines": [], "currency": "USD"})
        numbers = {p.number for p in _committed(picture, period)}
        own, late = (
            sum(
                _worth(picture, line, document["currency"])
                for line in document["lines"]
                if numbers
                and line.get("late", False) == is_late
                and (is_late or line.get("phase") in numbers)
            )
            for is_late in (False, True)
        )
        spent = own + max(0, late)
        wanted = [minimum - spent] if minimum > spent else []
        shown = [_exact(line) for line in document["lines"] if line["type"] == "minimum"]
        if shown != wanted:
            yield Finding("V8", f"{name}: true-ups {shown} of {minimum} less {spent}")


def _committed(picture: Picture, period: int) -> list[PhasePicture]:
    return [
        p
        for p in picture.group(period)
        if p.stored["state"] == "active" and p.plan.get("minimum_nanos")
    ]


def _minimum(picture: Picture, period: int) -> int | None:
    """The period's minimum by the second; None where a cut hides how long it was to be."""
    group = picture.group(period)
    after = [p for p in picture.phases if p.stored["period"] == period + 1]
    total = 0
    for phase in _committed(picture, period):
        start, end = picture.whole_start(phase), group[-1].end
        if phase.plan["period"] == "calendar":
            zone = picture.stored["subscription"]["timezone"]
            end = calendar_end(phase.plan["interval"], phase.start, zone)
        elif after and after[0].stored["fee_invoiced"]:
            return None
        part = int((phase.end - phase.start).total_seconds())
        whole = int((end - start).total_seconds())
        total += half_away(Fraction(phase.plan["minimum_nanos"] * part, whole)) if whole else 0
    return total


def _worth(picture: Picture, line: Plain, currency: str) -> int:
    """What the line says that usage was worth in money, in nanos."""
    if line["type"] == "overage" or (line["type"] == "usage" and line["unit"] == currency):
        return half_away(Fraction(line["amount"]) * NANO)
    if line["type"] != "credits_applied" or line["unit"] == currency:
        return 0
    start = datetime.fromisoformat(line["service_period"]["start"])
    values = picture.evidence.catalogue["units"][line["unit"]]["values"]
    dated = [v for v in values if v["currency"] == currency]
    valid = [v for v in dated if v["effective_at"] <= start] or dated[:1]
    value = Fraction(valid[-1]["value"]) if valid else Fraction(0)
    return to_minor(half_away(-_exact(line) * value), currency)


def discounts_are_taken_once(picture: Picture) -> Iterator[Finding]:
    """V8: a coupon takes its share or what is left of it, off each line once."""
    left: dict[tuple[str, str], Fraction] = {}
    for document in sorted(picture.stored.get("invoices", []), key=lambda d: str(d["number"])):
        lines = {line["n"]: line for line in document["lines"]}
        taken: set[tuple[str, int]] = set()
        for line in document["lines"]:
            if line["type"] != "discount":
                continue
            name = f"{picture.customer} {document['number']} line {line['n']}"
            coupon, of = line["coupon"], [lines[n] for n in line["of"] if n < line["n"]]
            own = {(coupon["id"], each["n"]) for each in of}
            wrong = len(of) < len(line["of"]) or len(own) < len(of) or bool(own & taken)
            if wrong or not {each["type"] for each in of} <= DISCOUNTED:
                yield Finding("V8", f"{name}: discounts {line['of']}")
            taken |= own
            base = sum((Fraction(each["amount"]) for each in of), Fraction(0))
            if "percentage" in coupon:
                wanted = base * Fraction(coupon["percentage"]) / 100
            else:
                due = [Fraction(x["amount"]) for n, x in lines.items() if n < line["n"]]
                wanted = max(Fraction(0), min(Fraction(coupon["left"]), base, sum(due)))
                held = left.get((coupon["id"], str(line["period_number"])))
                if held is not None and held != Fraction(coupon["left"]):
                    yield Finding("V8", f"{name}: {coupon['left']} left, which was {held}")
                rest = Fraction(coupon["left"]) - wanted
                left[coupon["id"], str(line["period_number"])] = rest
            if Fraction(line["unit_amount"]) != -wanted:
                yield Finding("V8", f"{name}: {line['unit_amount']}, not {-wanted}")


def _exact(line: Plain) -> int:
    return half_away(Fraction(line["unit_amount"]) * NANO)
