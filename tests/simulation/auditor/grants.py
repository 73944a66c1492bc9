"""V4, V5, V13, V15: ledgers, grants, and where every nano came from and went."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from tests.simulation.auditor.arithmetic import NANO, half_away, share
from tests.simulation.auditor.evidence import Finding, Plain
from tests.simulation.auditor.order import NEVER
from tests.simulation.auditor.picture import PhasePicture, Picture
from tests.simulation.auditor.prices import price_nanos, waits_for_the_end

# Entries whose draws have no usage of their own: other checks look at those.
WITHOUT_USAGE = ("void", "breakage", "close", "grant", "settle")


def ledger_explains_balances(picture: Picture) -> Iterator[Finding]:
    """V4: entries without a gap; each is what its versions changed; they add up to the balance."""
    if picture.account is None:
        return
    who = picture.customer
    versions = {a["version"]: a["grants"] for a in picture.versions}
    reached, held = 0, {}
    for entry in picture.stored["ledger"]:
        if entry["from"] != reached:
            yield Finding("V4", f"{who}: entry {entry['to']} follows {reached}: a gap")
        reached = entry["to"]
        held = _moved(held, entry["changes"])
        if entry["cause"].get("reason") == "journal":
            yield from _only_losses_are_spanned(picture, entry)
        if held != entry["remaining"]:
            yield Finding("V4", f"{who}: entry {reached} does not continue the one before")
        if versions.get(reached, entry["remaining"]) != entry["remaining"]:
            yield Finding("V4", f"{who}: entry {reached} is not what version {reached} held")
    if reached != picture.account["version"]:
        yield Finding("V4", f"{who}: version {picture.account['version']}, ledger at {reached}")
    if held != picture.account["grants"]:
        yield Finding("V4", f"{who}: the ledger's sum is not the balance")


def _only_losses_are_spanned(picture: Picture, entry: Plain) -> Iterator[Finding]:
    """V4: an entry in place of those that the journal lacks spans only what the stream lost."""
    for version in range(entry["from"] + 1, entry["to"] + 1):
        if (picture.customer, version) not in picture.evidence.lost_versions:
            yield Finding("V4", f"{picture.customer}: version {version} was spanned and not lost")


def _moved(
    held: dict[str, dict[str, int]], changes: dict[str, dict[str, int]]
) -> dict[str, dict[str, int]]:
    after = {unit: dict(left) for unit, left in held.items()}
    for unit, moved in changes.items():
        for grant, nanos in moved.items():
            left = after.setdefault(unit, {})
            left[grant] = left.get(grant, 0) + nanos
    kept = {u: {g: n for g, n in left.items() if n} for u, left in after.items()}
    return {unit: left for unit, left in kept.items() if left}


@dataclass
class Flow:
    """Where a grant's nanos went."""

    issued: int = 0
    used: int = 0
    broken: int = 0
    voided: int = 0
    rolled: int = 0
    issued_in: int = -1  # the index of the entry that issued it


@dataclass
class Flows:
    """Every grant's flow, from the ledger; `opened` is phase number -> index of its entry."""

    grants: dict[str, Flow] = field(default_factory=lambda: defaultdict(Flow))
    opened: dict[int, int] = field(default_factory=dict)
    closed: dict[int, int] = field(default_factory=dict)  # period -> index of its closing entry


def follow(picture: Picture) -> Flows:
    """Posts each entry's changes to the contra account that its kind names."""
    flows = Flows()
    grants = picture.stored.get("grants", {})
    for index, entry in enumerate(picture.stored.get("ledger", [])):
        changes = {g: n for moved in entry["changes"].values() for g, n in moved.items()}
        boundary = None
        if entry["kind"] in ("opening", "subscription"):
            number = len(flows.opened) + 1
            flows.opened[number] = index
            phase = picture.phase(number)
            boundary = phase.start if phase else None
            for key in [g for g in grants if g.startswith(f"p{number}-")]:
                _issue(flows, grants, key, changes, index)
        if entry["kind"] == "add_on":
            bought = [key for key in changes if grants.get(key, {}).get("source") == "add_on"]
            purchases = {key.rpartition("-")[0] for key in bought if not flows.grants[key].issued}
            purchases = purchases or _used_at_once(picture, flows, entry)
            for key in [g for g in grants if g.rpartition("-")[0] in purchases]:
                _issue(flows, grants, key, changes, index)
        if entry["kind"] == "grant":
            _issue(flows, grants, entry["cause"]["grant"], changes, index)
        if entry["kind"] == "close":
            flows.closed[int(entry["cause"]["period"])] = index
        for grant, nanos in changes.items():
            _spend(flows.grants[grant], grants.get(grant), entry["kind"], boundary, -nanos)
    return flows


def _used_at_once(picture: Picture, flows: Flows, entry: Plain) -> set[str]:
    """A purchase whose packs usage from before had used up as they came: nothing moved.

    One bought at the start of a period covers what was overage in it; of several at one instant
    any will do, as all of each went at once.
    """
    entries = [e for e in picture.stored["ledger"] if e["kind"] == "add_on"]
    moved = {key for e in entries for of_unit in e["changes"].values() for key in of_unit}
    unmoved = {
        key.rpartition("-")[0]
        for key, grant in picture.stored["grants"].items()
        if grant["source"] == "add_on" and grant["created_at"] == entry["at"]
        if not flows.grants[key].issued
    }
    return set(sorted(unmoved - {key.rpartition("-")[0] for key in moved})[:1])


def _issue(
    flows: Flows, grants: dict[str, Plain], key: str, changes: dict[str, int], index: int
) -> None:
    """A grant's whole amount came in; what is less in the entry was used in the same step."""
    amount = grants[key]["amount"] if key in grants else 0
    flow = flows.grants[key]
    flow.issued += amount
    flow.used += amount - changes.pop(key, 0)
    flow.issued_in = index


def _spend(
    flow: Flow, grant: Plain | None, kind: str, boundary: datetime | None, nanos: int
) -> None:
    rolls = grant is not None and grant["rollover_max"] > 0 and grant["expires_at"] == boundary
    if kind == "breakage":
        flow.broken += nanos
    elif kind == "void":
        flow.voided += nanos
    elif kind == "opening" and boundary is not None and rolls:
        flow.rolled += nanos
    else:
        flow.used += nanos


def grants_are_conserved(picture: Picture, flows: Flows) -> Iterator[Finding]:
    """V5: granted - drawn - expired - voided - rolled over = remaining >= 0, for each grant."""
    if picture.account is None:
        return
    who, grants = picture.customer, picture.stored["grants"]
    remaining = {g: n for held in picture.account["grants"].values() for g, n in held.items()}
    for key in sorted({*grants, *remaining, *flows.grants}):
        grant, flow, left = grants.get(key), flows.grants[key], remaining.get(key, 0)
        if grant is None:
            yield Finding("V5", f"{who}: grant {key} moves and does not exist")
            continue
        spent = (flow.used, flow.broken, flow.voided, flow.rolled)
        if flow.issued != grant["amount"] or min(*spent, left) < 0:
            yield Finding("V5", f"{who}: grant {key}: {flow}, {left} left of {grant['amount']}")
        if flow.issued - sum(spent) != left:
            yield Finding("V5", f"{who}: grant {key}: {flow} does not leave {left}")
        if grant["voided_at"] is not None and left:
            yield Finding("V5", f"{who}: grant {key} is voided and has {left} left")
    orders = [o for o in picture.evidence.orders if o["customer"] == who]
    told = {o["answer"]["id"] for o in orders if o["kind"] == "grant"}
    made = {key for key, grant in grants.items() if grant["source"] not in ("plan", "add_on")}
    if told != made:
        yield Finding("V5", f"{who}: granted {sorted(made ^ told)} without or against an answer")
    voids = {key for key, grant in grants.items() if grant["voided_at"] is not None}
    if voids != {o["answer"]["id"] for o in orders if o["kind"] == "void"}:
        yield Finding("V5", f"{who}: voided are {sorted(voids)}, not what people were told")
    yield from _breakage_is_due(picture)
    for phase in picture.phases:
        yield from _given(picture, phase)


def _breakage_is_due(picture: Picture) -> Iterator[Finding]:
    """V5: a remainder is breakage only after the grace: its own usage may still come."""
    grace = timedelta(seconds=picture.evidence.grace_seconds)
    for entry in picture.stored["ledger"]:
        if entry["kind"] != "breakage":
            continue
        for moved in entry["changes"].values():
            for key in moved:
                expires_at = picture.stored["grants"][key]["expires_at"]
                if expires_at is None or expires_at + grace > entry["at"]:
                    yield Finding("V5", f"{picture.customer}: {key} broke before its grace ended")


def _given(picture: Picture, phase: PhasePicture) -> Iterator[Finding]:
    """V5: each phase gave what its plan says, prorated by the second, and rolled over the rest."""
    who, number, plan = picture.customer, phase.number, phase.plan
    grants = picture.stored["grants"]
    prefix = f"p{number}-"
    mine = {key: g for key, g in grants.items() if key.startswith(prefix) and "-r-" not in key}
    ends = {g["expires_at"] for key, g in mine.items() if "-a" in key}
    ends |= {
        g["expires_at"]
        for key, g in mine.items()
        if "-c" in key and _ends_with_period(plan, int(key.partition("-c")[2]))
    }
    end = next(iter(ends), phase.end)
    if len(ends) > 1 or end is None or end < phase.end:
        yield Finding("V5", f"{who}: what phase {number} gave ends at {ends}")
        return
    if not ends and _was_cut(picture, phase):
        return  # Nothing tells how long the phase was to be.
    wanted = {}
    for index, allowance in enumerate(plan["allowances"]):
        nanos = half_away(Fraction(allowance["quantity"]) * NANO)
        unit = f"meter:{allowance['meter']}"
        wanted[f"{prefix}a{index}"] = unit, nanos
    for index, credit in enumerate(plan["credits"]):
        wanted[f"{prefix}c{index}"] = credit["unit"], credit["amount_nanos"]
    start = picture.whole_start(phase)
    shares = {k: (u, share(n, phase.start, end, start)) for k, (u, n) in wanted.items()}
    expected = {key: pair for key, pair in shares.items() if pair[1] > 0}
    found = {key: (g["unit"], g["amount"]) for key, g in mine.items()}
    if expected != found:
        yield Finding("V5", f"{who}: phase {number} gave {found}, not {expected}")
    yield from _rolled(picture, phase)


def _ends_with_period(plan: Plain, index: int) -> bool:
    """Whether credits that the plan gives expire with the period."""
    return index < len(plan["credits"]) and plan["credits"][index]["expires"] == "period_end"


def _was_cut(picture: Picture, phase: PhasePicture) -> bool:
    """Whether a change of plan ended the phase before its time."""
    after = picture.phase(phase.number + 1)
    return after is not None and bool(after.stored["fee_invoiced"])


def _rolled(picture: Picture, phase: PhasePicture) -> Iterator[Finding]:
    """V5: of grants that end at the boundary, min(cap, remainder) passes into the new phase."""
    entries = [e for e in picture.stored["ledger"] if e["kind"] in ("opening", "subscription")]
    if len(entries) < phase.number or entries[phase.number - 1]["kind"] != "opening":
        return
    entry = entries[phase.number - 1]
    ledger = picture.stored["ledger"]
    place = ledger.index(entry)
    before = ledger[place - 1]["remaining"] if place else {}
    grants = picture.stored["grants"]
    for unit in sorted({*before, *(g["unit"] for g in grants.values())}):
        ending = [
            key
            for key in before.get(unit, {})
            if key in grants
            and grants[key]["rollover_max"] > 0
            and grants[key]["expires_at"] == phase.start
        ]
        cap = max((grants[key]["rollover_max"] for key in ending), default=0)
        wanted = min(cap, sum(before[unit][key] for key in ending)) if ending else 0
        rolled = grants.get(f"p{phase.number}-r-{unit}", {"amount": 0})["amount"]
        gone = -sum(entry["changes"].get(unit, {}).get(key, 0) for key in ending)
        if rolled != wanted or (gone != wanted):
            yield Finding(
                "V5",
                f"{picture.customer}: phase {phase.number} rolled over {rolled} {unit} "
                f"(taken {gone}), not {wanted}",
            )


def double_entry_is_balanced(picture: Picture, flows: Flows) -> Iterator[Finding]:
    """V13: per unit, issued = used + expired + voided + held; used is what the totals drew."""
    if picture.account is None:
        return
    balance: dict[str, int] = defaultdict(int)
    used: dict[str, int] = defaultdict(int)
    for key, grant in picture.stored["grants"].items():
        flow, unit = flows.grants[key], grant["unit"]
        source = 0 if "-r-" in key else grant["amount"]
        balance[unit] += source - flow.used - flow.broken - flow.voided
        used[unit] += flow.used
    for unit in sorted({*balance, *picture.account["grants"]}):
        held = sum(picture.account["grants"].get(unit, {}).values())
        if balance[unit] != held:
            yield Finding("V13", f"{picture.customer} {unit}: {balance[unit] - held} from nowhere")
    drawn = _drawn(picture)
    for unit in sorted({*used, *drawn}):
        if used[unit] != drawn[unit]:
            yield Finding(
                "V6",
                f"{picture.customer} {unit}: grants gave {used[unit]}, usage drew {drawn[unit]}",
            )


def _drawn(picture: Picture) -> dict[str, int]:
    """What usage and settled reservations drew of each unit."""
    drawn: dict[str, int] = defaultdict(int)
    for phase in picture.phases:
        for card, totals in zip(phase.cards, phase.totals, strict=True):
            drawn[card["unit"]] += totals["drawn"]
            drawn[f"meter:{card['meter']}"] += half_away(Fraction(totals["covered"]) * NANO)
    for held in picture.stored["reservations"].values():
        if held["status"] == "settled" and held["event"] is None:
            drawn[held["unit"]] += held["drawn"]
    return drawn


def opening_charge(phase: PhasePicture, unit: str) -> int:
    """What the phase's rates in a unit cost at zero usage."""
    mine = [c for c in phase.cards if c["unit"] == unit and c["price"] is not None]
    priced = [c for c in mine if not waits_for_the_end(c)]
    return sum(price_nanos(card["price"], Fraction(0)) for card in priced)


def expired_is_not_drawn(picture: Picture) -> Iterator[Finding]:
    """V15: every draw has usage, of a phase that moved with it, from while the grant was active."""
    grants = picture.stored.get("grants", {})
    entries = {entry["to"]: entry for entry in picture.stored.get("ledger", [])}
    versions = {account["version"]: account for account in picture.versions}
    versions[0] = {"grants": {}, "phases": [], "late": {}}
    for account in picture.versions:
        entry = entries.get(account["version"])
        if entry is not None and entry["kind"] not in WITHOUT_USAGE:
            for moved in entry["changes"].values():
                drawn = [key for key, nanos in moved.items() if nanos < 0 and key in grants]
                for key in drawn:
                    if not _in_time(picture, grants[key], versions[entry["from"]], account):
                        yield Finding(
                            "V15",
                            f"{picture.customer}: version {account['version']} drew {key}, "
                            "which no usage was in time for",
                        )


def _in_time(picture: Picture, grant: Plain, before: Plain, after: Plain) -> bool:
    begins, ends = grant["effective_at"], grant["expires_at"] or NEVER
    was = {p["number"]: p["totals"] for p in before["phases"]}
    now = {p["number"]: p["totals"] for p in after["phases"]}
    late_was, late_now = before["late"], after["late"]
    touched = {n for n, totals in now.items() if was.get(n) != totals}
    touched |= {int(n) for n, totals in late_now.items() if late_was.get(n) != totals}
    # An event and what takes it back may come in one entry: they draw and give, and add nothing.
    touched |= {p.number for p in picture.phases if any(e.corrects for e in p.on_time)}
    for number in sorted(touched):
        phase = picture.phase(number)
        if phase is None:
            continue
        if number not in was and number in now:
            # Rolled over, or drawn for what the phase costs at zero usage.
            if grant["rollover_max"] and grant["expires_at"] == phase.start:
                return True
            if begins <= phase.start < ends:
                return True
        events = [*phase.on_time, *(e for late in phase.late_events.values() for e in late)]
        for event in events:
            at = max(event.occurred_at, phase.start)
            if begins <= at < ends and _may_draw(phase, event.usages, grant):
                return True
    return False


def _may_draw(phase: PhasePicture, usages: tuple[object, ...], grant: Plain) -> bool:
    for usage in usages:
        index = phase.card_of(usage)  # type: ignore[arg-type]
        if index is None:
            continue
        card = phase.cards[index]
        covers = not grant["meters"] or card["meter"] in grant["meters"]
        if covers and grant["unit"] in (card["unit"], f"meter:{card['meter']}"):
            return True
    return False
