"""V7 to V9: invoices are made of what they say, rounded once a line, and numbered without a gap."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from tests.simulation.auditor.arithmetic import (
    NANO,
    half_away,
    money_text,
    plain_text,
    to_minor,
)
from tests.simulation.auditor.evidence import Evidence, Finding, Plain
from tests.simulation.auditor.picture import PhasePicture, Picture, Tally
from tests.simulation.auditor.prices import charged_quantity, event_nanos, price_nanos


def numbers_have_no_gap(evidence: Evidence) -> Iterator[Finding]:
    """V9: ids are unique; numbers run from 1 in each series, and its counter stands at the last.

    Each test clock has a series of its own.
    """
    documents = [d for kept in evidence.customers.values() for d in kept["invoices"]]
    listed: dict[str, list[str]] = {series: [] for series in ("INV", *evidence.numbers)}
    for kept in evidence.customers.values():
        series = f"TEST-{kept['test_clock']}" if kept["test_clock"] else "INV"
        listed.setdefault(series, []).extend(str(d["number"]) for d in kept["invoices"])
    for series, numbers in listed.items():
        wanted = [f"{series}-{n:06d}" for n in range(1, len(numbers) + 1)]
        if sorted(numbers) != wanted:
            yield Finding("V9", f"numbers {sorted(set(numbers) ^ set(wanted))[:3]} of {series}")
        if evidence.numbers.get(series, 0) != len(numbers):
            yield Finding("V9", f"{series}: counter at {evidence.numbers}, {len(numbers)} invoices")
    if len({d["id"] for d in documents}) != len(documents):
        yield Finding("V9", "an invoice id is there twice")


def one_invoice_a_period(picture: Picture) -> Iterator[Finding]:
    """V9: one per customer, period and kind; its hash is that of its content."""
    documents = picture.stored.get("invoices", [])
    kinds: Counter[tuple[str, object]] = Counter()
    for document in documents:
        start = document["period"]["start"] if document["kind"] == "change" else ""
        same_start = [d for d in documents if d["period"]["start"] == start]
        # Two changes of plan at one instant are two, of phases of their own.
        alone = len({json.dumps(d["lines"], sort_keys=True) for d in same_start}) < 2
        if alone and document["kind"] != "add_on":  # Those are one a purchase.
            kinds[document["kind"], (document["period_number"], start)] += 1
        content = {key: value for key, value in document.items() if key != "hash"}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        if document["hash"] != hashlib.sha256(text.encode()).hexdigest():
            yield Finding("V9", f"{picture.customer}: {document['number']} is not what was hashed")
    for kind, times in kinds.items():
        if times > 1:
            yield Finding("V9", f"{picture.customer}: {times} invoices of {kind}")


def lines_are_rerated(picture: Picture) -> Iterator[Finding]:
    """V8: the total is the sum of the lines, each rounded once, each priced as published."""
    for document in picture.stored.get("invoices", []):
        name = f"{picture.customer} {document['number']}"
        lines = document["lines"]
        total = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
        if Decimal(document["total"]) != max(Decimal(0), total):
            yield Finding("V8", f"{name}: total {document['total']}, lines {total}")
        if [line["n"] for line in lines] != list(range(1, len(lines) + 1)):
            yield Finding("V8", f"{name}: lines are not numbered")
        for line in lines:
            exact = half_away(Fraction(line["unit_amount"]) * NANO)
            amount = _amount(picture, line, exact, document["currency"])
            if line["amount"] != money_text(amount, document["currency"]):
                yield Finding("V8", f"{name} line {line['n']}: {line['amount']}, not {amount}")
        if document["kind"] == "period":
            yield from _usage_lines(picture, document, name)


def _amount(picture: Picture, line: Plain, exact: int, currency: str) -> int:
    """The line's amount in nanos, from its exact amount in its unit."""
    if line["type"] == "overage":
        worth = Fraction(_unit_value(picture, line))
        return to_minor(half_away(Fraction(exact) * worth), currency)
    return to_minor(exact, currency) if line["unit"] == currency else 0


def _unit_value(picture: Picture, line: Plain) -> Decimal:
    """What one credit was worth when the phase began; nothing where exhausted credits block."""
    plan = picture.plans[line["plan"], line["plan_version"]]
    if plan["on_exhausted"] == "block":
        return Decimal(0)
    start = datetime.fromisoformat(line["service_period"]["start"])
    values = picture.evidence.catalogue["units"][line["unit"]]["values"]
    dated = [v for v in values if v["currency"] == plan["currency"]]
    valid = [v for v in dated if v["effective_at"] <= start] or dated[:1]
    value: Decimal = valid[-1]["value"]
    return value


def _usage_lines(picture: Picture, document: Plain, name: str) -> Iterator[Finding]:
    """V7, V8: exactly the lines of the period's phases and of the late usage billed with it."""
    period = document["period_number"]
    found: dict[tuple[object, ...], Plain] = {}
    for line in document["lines"]:
        if "meter" not in line:
            continue
        key = (line["phase"], line["late"], line["meter"], str(line["where"]), line["type"])
        if key in found:
            yield Finding("V7", f"{name}: two lines of {key}")
        found[key] = line
    for phase in picture.phases:
        if phase.stored["period"] == period and phase.frozen is not None:
            yield from _lines_of(phase, phase.tallies(phase.on_time), phase.frozen, found, name)
        if phase.late_events.get(period):
            earlier = [e for p, late in phase.late_events.items() if p < period for e in late]
            tallies = phase.tallies(phase.late_events[period], [*phase.on_time, *earlier])
            yield from _lines_of(phase, tallies, None, found, name)
    for key in found:
        yield Finding("V7", f"{name}: a line of {key} that nothing is behind")


def _lines_of(
    phase: PhasePicture,
    tallies: list[Tally],
    frozen: list[Plain] | None,
    found: dict[tuple[object, ...], Plain],
    name: str,
) -> Iterator[Finding]:
    """Takes the phase's lines out of `found`; late ones where nothing frozen is given."""
    for index, (card, tally) in enumerate(zip(phase.cards, tallies, strict=True)):
        totals = frozen[index] if frozen else None
        where = str(dict(sorted(card["where"].items())))
        key = (phase.number, frozen is None, card["meter"], where)
        line = found.pop((*key, "usage"), None)
        applied = found.pop((*key, "credits_applied"), None)
        over = found.pop((*key, "overage"), None)
        if line is None:
            if tally.count or (totals and totals["amount"]):
                yield Finding("V7", f"{name}: no line for {tally.count} events of {key}")
            continue
        events = line["events"]
        listed = events["count"], Fraction(events["sum"]), int(events["checksum"], 16)
        if listed != (tally.count, tally.value, tally.checksum):
            yield Finding("V7", f"{name}: {key} bills {listed[0]} events, behind it {tally.count}")
        if Fraction(line["quantity"]) != _quantity(card, tally):
            yield Finding("V8", f"{name}: {key} has quantity {line['quantity']}")
        parts = [-_exact(applied), _exact(over)]
        if totals is not None:
            wanted = [totals["drawn"], totals["overage"] if card["unit"] != line_unit(phase) else 0]
            amount = 0
            if card["price"] is not None:
                events = event_nanos(card["price"], tally.quantities)
                included = Fraction(line["included"])
                charged = charged_quantity(card, tally.value, included, tally.count)
                amount = price_nanos(card["price"], charged, tally.count, events)
            if parts != wanted or _exact(line) != amount:
                yield Finding("V8", f"{name}: {key} is {_exact(line)} {parts}, not {wanted}")
        if _prices(line) != _published(card):
            yield Finding("V8", f"{name}: {key} does not show the published price")


def _quantity(card: Plain, tally: Tally) -> Fraction:
    """What the line is for; of an average, what its usages changed it by."""
    if not card["averaged"]:
        return tally.value
    before = Tally([], tally.before)
    value, count = before.value + tally.value, before.count + tally.count
    was = charged_quantity(card, before.value, Fraction(0), before.count)
    return charged_quantity(card, value, Fraction(0), count) - was


def line_unit(phase: PhasePicture) -> str:
    """The currency that the phase's plan bills in."""
    currency: str = phase.plan["currency"]
    return currency


def _exact(line: Plain | None) -> int:
    return half_away(Fraction(line["unit_amount"]) * NANO) if line else 0


def _prices(line: Plain) -> object:
    return line["price"]


def _published(card: Plain) -> object:
    """The price as the catalogue shows it."""
    price = card["price"]
    return None if price is None else _shown(price)


def _shown(values: Plain) -> Plain:
    return {
        name: [_shown(tier) for tier in value]
        if name == "tiers"
        else value
        if name == "model" or value is None
        else plain_text(value)
        for name, value in values.items()
    }


def late_lines_continue(picture: Picture) -> Iterator[Finding]:
    """V8: a late line costs price(all so far) - price(all before), and late parts add up."""
    for phase in picture.phases:
        if phase.frozen is None:
            continue
        lines: dict[tuple[str, str], list[Plain]] = defaultdict(list)
        for document in sorted(picture.stored["invoices"], key=lambda d: d["period_number"]):
            for line in document["lines"]:
                if line["late"] and line.get("phase") == phase.number and line["type"] == "usage":
                    lines[line["meter"], str(line["where"])].append(line)
        for index, card in enumerate(phase.cards):
            frozen = phase.frozen[index]
            value, covered = Fraction(frozen["value"]), Fraction(frozen["covered"])
            amount, count = frozen["amount"], frozen["count"]
            events = frozen["event_amounts"]
            for line in lines[card["meter"], str(dict(sorted(card["where"].items())))]:
                value += Fraction(line["events"]["sum"])
                covered += Fraction(line["included"])
                amount += _exact(line)
                count += line["events"]["count"]
                events += half_away(Fraction(line["events"].get("amounts", 0)) * NANO)
                charged = charged_quantity(card, value, covered, count)
                if card["price"] is not None and amount != price_nanos(
                    card["price"], charged, count, events
                ):
                    yield Finding(
                        "V8", f"{picture.customer} phase {phase.number} rate {index}: late line"
                    )
