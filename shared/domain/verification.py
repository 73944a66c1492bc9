"""Verifying an exported invoice against raw events: every number of it is computed again.

Nothing stored is believed: events are counted anew, lines are priced anew from the price they
carry, and the sum and the hash are taken anew. What the events cannot show (how much of a line an
allowance or a credit took, and what a plan's fee is) is in the hash, and must fit the amounts.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from shared.domain.card_tally import CardTally
from shared.domain.discounts import DISCOUNTED
from shared.domain.events import UsageEvent, canonical_json
from shared.domain.invoice_document import document_hash
from shared.domain.minimums import counts, worth
from shared.domain.money import EXACT, from_nanos, is_currency, mean, round_to_minor, to_nanos
from shared.domain.prices import price_of
from shared.domain.pricing import Usage, price_nanos
from shared.domain.proof import Document, Fate, UnprovableError, UsageLine, usage_line
from shared.domain.usage_hours import Quarter

NOTHING = Decimal(0)
CREDIT_LINES = ("credits_applied", "overage")
Lines = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Difference:
    """What is not equal: where, what the invoice says, and what comes out instead."""

    place: str
    stated: str
    computed: str


def verify(document: Document, events: Iterable[tuple[UsageEvent, Fate]]) -> tuple[Difference, ...]:
    """Where the invoice differs from the events and from its own arithmetic; nothing if equal.

    Raises: UnprovableError if the document is no invoice that can be verified.
    """
    try:
        lines = [usage_line(document, int(line["n"])) for line in document["lines"]]
        numbers = [line["n"] for line in document["lines"]]
        if len(set(numbers)) != len(numbers):
            raise UnprovableError("two lines have one number")
        came: dict[int, CardTally] = {}
        return (
            *_differing_hash(document),
            *_differing_events([line for line in lines if line], events, came),
            *_differing_amounts(document),
            *_differing_credits(document, came),
            *_differing_derived(document),
            *_differing_total(document),
        )
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnprovableError(f"this is no invoice as exported: {error!r}") from error


def _differing(place: str, stated: object, computed: object) -> Iterator[Difference]:
    if stated != computed:
        yield Difference(place, str(stated), str(computed))


def _differing_hash(document: Document) -> Iterator[Difference]:
    return _differing("hash", document.get("hash"), document_hash(document))


def _differing_total(document: Document) -> Iterator[Difference]:
    total = sum((Decimal(line["amount"]) for line in document["lines"]), NOTHING)
    return _differing("total", Decimal(document["total"]), max(NOTHING, total))


def _differing_events(
    lines: list[UsageLine],
    events: Iterable[tuple[UsageEvent, Fate]],
    came: dict[int, CardTally],
) -> Iterator[Difference]:
    """Recounts every line in one pass over the events, which may be very many.

    `came` takes what each line's events come to if nothing is taken back.
    """
    came |= {line.number: CardTally(line.price) for line in lines}
    whole = {line.number: CardTally(line.price) for line in lines}
    before = {line.number: CardTally(line.price) for line in lines}
    seen: set[tuple[str, str]] = set()
    for event, fate in events:
        identity = (event.customer, event.key)
        if identity in seen:
            yield Difference(f"event {event.source} {event.id}", "once", "twice in the file")
        seen.add(identity)
        for line in lines:
            measurement = line.measure(event)
            if measurement is None:
                continue
            earlier = line.counts_before(fate)
            if earlier:
                before[line.number].add(measurement)
            if earlier or line.counts(fate):
                whole[line.number].add(measurement)
                if measurement.count > 0:
                    came[line.number].add(measurement)
    for line in lines:
        billed = before[line.number]
        counted = whole[line.number].since(billed)
        yield from _differing_tally(f"line {line.number}: ", line.frozen, counted)
        amounts = (whole[line.number].event_amounts - billed.event_amounts, billed.event_amounts)
        place = f"line {line.number}: amounts of single events"
        yield from _differing(place, line.event_amounts, amounts)
        if line.late:
            place = f"line {line.number}: billed before: "
            yield from _differing_tally(place, line.before, billed.since(CardTally()))


def _differing_tally(place: str, stated: Quarter, computed: Quarter) -> Iterator[Difference]:
    yield from _differing(f"{place}events", stated.count, computed.count)
    yield from _differing(f"{place}sum", stated.value, computed.value)
    yield from _differing(
        f"{place}checksum", f"{stated.checksum:016x}", f"{computed.checksum:016x}"
    )


def _differing_amounts(document: Document) -> Iterator[Difference]:
    """Every line priced and rounded anew."""
    currency = document["currency"]
    for line in document["lines"]:
        place = f"line {line['n']}: "
        exact = to_nanos(Decimal(line["unit_amount"]))
        if line["type"] == "usage":
            quantity, included = Decimal(line["quantity"]), Decimal(line["included"])
            yield from _differing(f"{place}quantity", quantity, _quantity(line))
            if not min(NOTHING, quantity) <= included <= max(NOTHING, quantity):
                yield Difference(f"{place}included", str(included), f"0 to {quantity}")
            yield from _differing(f"{place}unit_amount", exact, _rated(line))
        nanos = exact
        if line["type"] == "overage":
            nanos = to_nanos(EXACT.multiply(from_nanos(exact), Decimal(line["unit_value"])))
        elif not is_currency(line["unit"]):
            nanos = 0
        amount = to_nanos(Decimal(line["amount"]))
        yield from _differing(f"{place}amount", amount, round_to_minor(nanos, currency))


def _quantity(line: Mapping[str, Any]) -> Decimal:
    """The usage that the line is for; of an average, what the line's events changed it by."""
    billed, both = _billed_and_both(line)
    if not _averaged(line):
        return Decimal(line["events"]["sum"])
    return EXACT.subtract(both.quantity, billed.quantity)


def _averaged(line: Mapping[str, Any]) -> bool:
    return bool(line["counts"]["aggregation"] == "average")


def _rated(line: Mapping[str, Any]) -> int:
    """The exact price of the line's usage in nanos; of late usage, what it adds to the price."""
    if line["price"] is None:
        return 0
    price = price_of(line["price"])
    billed, both = _billed_and_both(line)
    if not line["late"]:
        return price_nanos(price, both)
    return price_nanos(price, both) - price_nanos(price, billed)


def _billed_and_both(line: Mapping[str, Any]) -> tuple[Usage, Usage]:
    """What was billed of the same totals before late usage, and that with the line's own usage."""
    charged, billed = _usage(line["events"], line["included"]), Usage(NOTHING)
    if line["late"]:
        billed = _usage(line["before"], line["before"]["included"])
    both = Usage(
        EXACT.add(billed.quantity, charged.quantity),
        billed.count + charged.count,
        billed.event_amounts + charged.event_amounts,
    )
    if _averaged(line):
        averages = (replace(u, quantity=mean(u.quantity, u.count)) for u in (billed, both))
        billed, both = averages
    return billed, both


def _usage(tally: Mapping[str, Any], included: str) -> Usage:
    quantity = EXACT.subtract(Decimal(tally["sum"]), Decimal(included))
    return Usage(quantity, int(tally["count"]), to_nanos(Decimal(tally.get("amounts", 0))))


def _differing_derived(document: Document) -> Iterator[Difference]:
    """True-ups and discounts, computed anew from the earlier lines that they name."""
    discounted: set[tuple[str, int]] = set()
    earlier: dict[int, Mapping[str, Any]] = {}
    for line in document["lines"]:
        if line["type"] in ("minimum", "discount"):
            place = f"line {line['n']}: "
            named = [earlier[n] for n in line["of"] if n in earlier]
            if line["type"] == "minimum":
                computed = _true_up(line, named, document["currency"])
                fit = [each for each in named if counts(each["type"], each["unit"])]
                taken = set()
            else:
                computed = _discount(line, named, list(earlier.values()))
                fit = [each for each in named if each["type"] in DISCOUNTED]
                taken = {(line["coupon"]["id"], n) for n in line["of"]}
            if len(fit) < len(line["of"]) or len(set(line["of"])) < len(fit) or taken & discounted:
                yield Difference(f"{place}of", str(line["of"]), "lines of which it can be, once")
            discounted |= taken
            stated = to_nanos(Decimal(line["unit_amount"]))
            yield from _differing(f"{place}unit_amount", stated, computed)
        earlier[line["n"]] = line


def _true_up(line: Mapping[str, Any], counted: Lines, currency: str) -> int:
    """What the lines fall short of the minimum, in nanos."""
    spent = dict.fromkeys((False, True), 0)
    for each in counted:
        if each["type"] == "credits_applied":
            drawn = -to_nanos(Decimal(each["unit_amount"]))
            own = worth(drawn, Decimal(each["unit_value"]), currency)
        else:
            own = _amount(each)
        spent[each["late"]] += own
    minimum = to_nanos(Decimal(line["minimum"]))
    return max(0, minimum - spent[False] - max(0, spent[True]))


def _discount(line: Mapping[str, Any], discounted: Lines, earlier: Lines) -> int:
    """What the coupon takes off the lines, in nanos, as a negative amount."""
    base, coupon = sum(map(_amount, discounted)), line["coupon"]
    if "percentage" in coupon:
        percent = EXACT.multiply(from_nanos(base), Decimal(coupon["percentage"])) / 100
        return -to_nanos(percent)
    left = to_nanos(Decimal(coupon["left"]))
    return -max(0, min(left, base, sum(map(_amount, earlier))))


def _amount(line: Mapping[str, Any]) -> int:
    return to_nanos(Decimal(line["amount"]))


def _differing_credits(document: Document, came: Mapping[int, CardTally]) -> Iterator[Difference]:
    """What credits took of a rate card's usage, and what they left over, is all of it."""
    amounts: dict[str, dict[str, int]] = {}
    most: dict[str, int] = {}
    for line in document["lines"]:
        if "meter" not in line:
            continue
        card = canonical_json([line["phase"], line["late"], line["meter"], line["where"]])
        if is_currency(line["unit"]) and line["type"] == "usage":
            most[card] = max(0, _most_drawn(line, came[line["n"]]))
        of_card = amounts.setdefault(card, dict.fromkeys(("usage", *CREDIT_LINES), 0))
        of_card[line["type"]] += to_nanos(Decimal(line["unit_amount"]))
    for card, of_card in amounts.items():
        used, drawn, overage = of_card["usage"], -of_card["credits_applied"], of_card["overage"]
        if card in most:
            overage = used - min(drawn, most[card])
        yield from _differing(f"credits of {card}", used, drawn + overage)


def _most_drawn(line: Mapping[str, Any], came: CardTally) -> int:
    """What credits can have taken of a card at the most, in nanos.

    Late, that is the price of all usage: where a correction takes back what was billed in money
    and puts other usage in its place, credits may take all of that. Otherwise it is the line's,
    or where events were taken back, the price of what came: no grant that has expired meanwhile
    takes back what it paid.
    """
    price = None if line["price"] is None else price_of(line["price"])
    own = to_nanos(Decimal(line["unit_amount"]))
    if price is None:
        return own
    if line["late"]:
        return price_nanos(price, _billed_and_both(line)[1])
    if came.count <= int(line["events"]["count"]):
        return own
    return max(own, price_nanos(price, Usage(came.value, came.count, came.event_amounts)))
