"""V8: fees are charged once, credited by the second, and what invoices leave over is carried on."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction

from tests.simulation.auditor.arithmetic import NANO, half_away, share
from tests.simulation.auditor.evidence import Finding, Plain
from tests.simulation.auditor.picture import PhasePicture, Picture


def fees_are_charged_once(picture: Picture) -> Iterator[Finding]:
    """V8: each phase's fee is charged once, in advance or at once, prorated by the second."""
    charged: Counter[tuple[object, ...]] = Counter()
    for document, line in _fee_lines(picture):
        start = datetime.fromisoformat(line["service_period"]["start"])
        charged[line["type"], line["plan"], line["plan_version"], start] += 1
        yield from _fee_amount(picture, line, document)
    for index, phase in enumerate(picture.phases):
        before = picture.phases[index - 1] if index else None
        if phase.stored["fee_invoiced"]:
            if before is not None and before.plan["fee_nanos"]:
                charged[_fee_key("proration", before, phase.start)] -= 1
        elif before is not None and before.frozen is None:
            continue  # Charged in advance when the period before is closed.
        if phase.plan["fee_nanos"]:
            charged[_fee_key("fee", phase, phase.start)] -= 1
    for key, times in charged.items():
        if times:
            yield Finding("V8", f"{picture.customer}: {key} charged {times:+d} times too often")


def _fee_lines(picture: Picture) -> Iterator[tuple[Plain, Plain]]:
    """Those of phases: a change of seats alone begins none."""
    for document in picture.stored.get("invoices", []):
        if not _of_seats(picture, document):
            for line in document["lines"]:
                if line["type"] in ("fee", "proration"):
                    yield document, line


def _of_seats(picture: Picture, document: Plain) -> bool:
    """Whether the invoice is of a change of seats: of the same plan, before and after."""
    lines = [x for x in document["lines"] if x["type"] in ("fee", "proration")]
    if document["kind"] != "change" or len(lines) != 2:
        return False
    start = datetime.fromisoformat(lines[1]["service_period"]["start"])
    begins = any(p.start == start and p.stored["fee_invoiced"] for p in picture.phases)
    return not begins or (lines[0]["plan"], lines[0]["plan_version"]) == (
        lines[1]["plan"],
        lines[1]["plan_version"],
    )


def _fee_key(kind: str, phase: PhasePicture, start: datetime) -> tuple[object, ...]:
    return kind, phase.plan["key"], phase.plan["version"], start


def _seats_at(picture: Picture, phase: PhasePicture, number: str) -> set[int]:
    """How many seats the phase had when the invoice of this number was made.

    Of the seats bought at the instant at which it began, nothing tells whether that was before.
    """
    seats: set[int] = {phase.stored["quantity"]}
    for document in sorted(picture.stored["invoices"], key=lambda d: str(d["number"])):
        if str(document["number"]) < number and _of_seats(picture, document):
            start = datetime.fromisoformat(document["lines"][1]["service_period"]["start"])
            if (
                phase.start <= start <= phase.end
                and document["period_number"] == (phase.stored["period"])
            ):
                bought = {int(document["lines"][1]["quantity"])}
                seats = seats | bought if start == phase.start else bought
    return seats


def _fee_amount(picture: Picture, line: Plain, document: Plain) -> Iterator[Finding]:
    start = datetime.fromisoformat(line["service_period"]["start"])
    end = datetime.fromisoformat(line["service_period"]["end"])
    credit = line["type"] == "proration"
    # A credit is for the rest of the phase that the change ended; a fee for one that began then.
    matching = [
        p
        for p in picture.phases
        if (p.stored["plan"], p.stored["plan_version"]) == (line["plan"], line["plan_version"])
        and (p.end == start if credit else p.start == start)
        and p.stored["state"] == "active"
    ]
    shown = _nanos(line)
    amounts = set()
    for phase in matching:
        had = {phase.stored["quantity"]}
        if credit:
            had = _seats_at(picture, phase, str(document["number"]))
        for seats in had:
            fee = picture.plans[line["plan"], line["plan_version"]]["fee_nanos"] * seats
            amount = share(fee, start, end, picture.whole_start(phase))
            if credit:
                charged = sum(_nanos(each) for each in document["lines"] if each["type"] == "fee")
                amount = -_credited(picture, phase, end, fee, by_time=amount, charged=charged)
            amounts.add(amount)
    if shown not in amounts:
        yield Finding(
            "V8", f"{picture.customer} {document['number']}: {line['description']} {shown}"
        )


def seats_are_charged(picture: Picture) -> Iterator[Finding]:
    """V8: a change of seats credits the old number and charges the new one, both by the second."""
    for document in picture.stored.get("invoices", []):
        if not _of_seats(picture, document):
            continue
        old, new = [x for x in document["lines"] if x["type"] in ("fee", "proration")]
        start = datetime.fromisoformat(new["service_period"]["start"])
        end = datetime.fromisoformat(new["service_period"]["end"])
        amounts = set()
        for phase in picture.group(document["period_number"]):
            if phase.start <= start <= phase.end and phase.stored["state"] == "active":
                fee = picture.plans[new["plan"], new["plan_version"]]["fee_nanos"]
                begun = picture.whole_start(phase)
                charged = share(fee * int(new["quantity"]), start, end, begun)
                for seats in _seats_at(picture, phase, str(document["number"])):
                    amounts.add((-share(fee * seats, start, end, begun), charged, seats))
        if (_nanos(old), _nanos(new), int(old["quantity"])) not in amounts:
            name = f"{picture.customer} {document['number']}"
            yield Finding("V8", f"{name}: seats {_nanos(old)} {_nanos(new)}, not {amounts}")


def _credited(
    picture: Picture, phase: PhasePicture, end: datetime, fee: int, *, by_time: int, charged: int
) -> int:
    """What is credited of a phase that was to last until `end`, in nanos.

    Where that gives money back, at most the fee of what is unused of everything it was given.
    """
    if by_time <= charged:
        return by_time
    ledger = picture.stored["ledger"]
    opened = [e for e in ledger if e["kind"] in ("opening", "subscription")][phase.number]
    before = [e["remaining"] for e in ledger if e["to"] == opened["from"]]
    left = {key: n for held in before[0].values() for key, n in held.items()}
    whole_start = picture.whole_start(phase)
    paid = Fraction(
        fee * int((end - phase.start).total_seconds()),
        int((end - whole_start).total_seconds()),
    )
    given = {
        key: grant["amount"]
        for key, grant in picture.stored["grants"].items()
        if key.startswith((f"p{phase.number}-a", f"p{phase.number}-c"))
    }
    unused = [half_away(paid * left.get(key, 0) / amount) for key, amount in given.items()]
    return min([by_time, *unused])


def _nanos(line: Plain) -> int:
    return half_away(Fraction(line["unit_amount"]) * NANO)


def credit_is_carried(picture: Picture) -> Iterator[Finding]:
    """V8: an invoice below zero leaves credit, and the next ones take all of it that they can."""
    credit = 0
    for document in sorted(picture.stored.get("invoices", []), key=lambda d: str(d["number"])):
        name = f"{picture.customer} {document['number']}"
        carried = [x for x in document["lines"] if x["type"].endswith("_forward")]
        due = sum(Fraction(x["amount"]) * NANO for x in document["lines"] if x not in carried)
        moved = -due if due < 0 else -min(due, credit)
        shown = sum(Fraction(x["amount"]) * NANO for x in carried)
        if shown != moved:
            yield Finding("V8", f"{name}: carries {shown} with {credit} held, not {moved}")
        credit += int(moved)
    held = picture.stored["subscription"]["credit"] if picture.stored else 0
    if held != credit:
        yield Finding("V8", f"{picture.customer}: {held} is held of the invoices' {credit}")
