"""V4, V5, V15: what is reserved is held for its time, and settled from what was free."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from tests.simulation.auditor.evidence import Finding, Plain
from tests.simulation.auditor.order import NEVER
from tests.simulation.auditor.picture import Picture
from tests.simulation.auditor.steps import Steps

KINDS = ("reserve", "settle", "release", "expire")


def reserved_is_held(picture: Picture) -> Iterator[Finding]:
    """V5: each version holds what its open reservations come to, no more than what there is."""
    if picture.account is None:
        return
    made = picture.stored["reservations"]
    versions = {account["version"]: account for account in picture.versions}
    reserved: dict[str, int] = defaultdict(int)
    still: set[str] = set()
    for entry in picture.stored["ledger"]:
        if entry["kind"] in KINDS:
            yield from _entry(picture, entry, versions.get(entry["to"]))
        for key in _named(entry):
            sign = (key not in still) if entry["kind"] == "reserve" else -(key in still)
            reserved[made[key]["unit"]] += sign * made[key]["amount"]
            still ^= {key}
    by_event = {key: r for key, r in made.items() if r["event"] is not None and key in still}
    for settled in by_event.values():
        reserved[settled["unit"]] -= settled["amount"]
    held = {unit: nanos for unit, nanos in reserved.items() if nanos}
    if held != picture.account["reserved"]:
        yield Finding(
            "V5", f"{picture.customer}: {picture.account['reserved']} is reserved, not {held}"
        )
    for account in picture.versions:
        if min(account["reserved"].values(), default=1) <= 0:
            yield Finding("V5", f"{picture.customer}: {account['reserved']} is reserved")


def _named(entry: Plain) -> list[str]:
    """The reservations that the entry makes or ends."""
    if entry["kind"] not in KINDS:
        return []
    cause = entry["cause"]
    return [cause["reservation"]] if "reservation" in cause else cause["reservations"].split()


def _entry(picture: Picture, entry: Plain, account: Plain | None) -> Iterator[Finding]:
    who, kind, at = picture.customer, entry["kind"], entry["at"]
    made = picture.stored["reservations"]
    if kind != "settle" and entry["changes"]:
        yield Finding("V4", f"{who}: {kind} of version {entry['to']} moves {entry['changes']}")
    for key in _named(entry):
        reservation = made[key]
        if kind == "expire" and reservation["expires_at"] > at:
            yield Finding("V5", f"{who}: reservation {key} expired before its time")
        drawn = -sum(n for moved in entry["changes"].values() for n in moved.values())
        if kind == "settle" and drawn != reservation["drawn"]:
            yield Finding("V4", f"{who}: settling {key} drew {drawn}")
        if kind == "reserve" or (kind == "settle" and drawn):
            free = _available(picture, reservation, at, account) if account else 0
            if free < 0:
                yield Finding("V5", f"{who}: {kind} {key} leaves {free} available")
        for grant in (picture.stored["grants"][k] for m in entry["changes"].values() for k in m):
            if not _usable(grant, reservation, at):
                yield Finding("V15", f"{who}: settling {key} drew {grant['id']}")


def _available(picture: Picture, reservation: Plain, at: datetime, account: Plain) -> int:
    """What usage of the reservation's meter may still count on, beside all that is reserved."""
    unit, grants = reservation["unit"], picture.stored["grants"]
    held = account["grants"].get(unit, {})
    usable = sum(n for key, n in held.items() if _usable(grants[key], reservation, at))
    reserved: int = account["reserved"].get(unit, 0)
    return usable - reserved


def _usable(grant: Plain, reservation: Plain, at: datetime) -> bool:
    covers = not grant["meters"] or reservation["meter"] in grant["meters"]
    active: bool = grant["effective_at"] <= at < (grant["expires_at"] or NEVER)
    return active and covers and grant["unit"] == reservation["unit"]


def reservations_are_those_told(picture: Picture) -> Iterator[Finding]:
    """V5: made as people were told, and ended as they were told, by an event, or in time."""
    who, made = picture.customer, picture.stored.get("reservations", {})
    orders = [o for o in picture.evidence.orders if o["customer"] == who]
    asked = {o["answer"]["id"]: o["about"] for o in orders if o["kind"] == "reserve"}
    if set(asked) != set(made):
        yield Finding("V5", f"{who}: reserved {sorted(set(asked) ^ set(made))} without an answer")
    for key, about in asked.items():
        held = made.get(key)
        if held and (held["unit"], held["amount"]) != (about["unit"], about["nanos"]):
            yield Finding("V5", f"{who}: reservation {key} is not what was asked for")
    endings = {kind: _by_reservation(orders, kind) for kind in ("settle", "release")}
    for key, held in made.items():
        for problem in _ended_wrongly(picture, held, endings["settle"], endings["release"]):
            yield Finding("V5", f"{who}: reservation {key} {problem}")


def events_settle_what_they_name(picture: Picture, steps: Steps) -> Iterator[Finding]:
    """V5: an event that came down the stream while what it names was reserved has settled it, by
    what it drew."""
    made, ledger = picture.stored.get("reservations", {}), picture.stored.get("ledger", [])
    # What was lost is repaired days later, and settles nothing any more.
    late = {e["to"] for e in ledger if e["kind"] != "usage"}
    since: dict[str, int] = {}
    until: dict[str, int] = {}
    for entry in ledger:
        for key in _named(entry):
            (since if entry["kind"] == "reserve" else until).setdefault(key, entry["to"])
    for step, event in steps.single():
        key, version = event.reservation or "", step.after["version"]
        if key not in made or event.corrects or version in late:
            continue
        held, name = made[key], f"{picture.customer}: version {version} took {event.key[:8]}"
        if held["event"] == event.key:
            left = [
                sum(a["grants"].get(held["unit"], {}).values()) for a in (step.before, step.after)
            ]
            if held["drawn"] != left[0] - left[1]:
                yield Finding("V5", f"{name}; {key} says that it drew {held['drawn']}")
        elif held["event"] is None:
            begun = since.get(key, version) < version
            if begun and version < until.get(key, version + 1):
                yield Finding("V5", f"{name}, which did not settle {key}")


def _by_reservation(orders: list[Plain], kind: str) -> dict[str, Plain]:
    """What was asked for by who was told that a reservation is settled, or released."""
    return {o["about"]["reservation"]: o["about"] for o in orders if o["kind"] == kind}


def _ended_wrongly(
    picture: Picture, held: Plain, settled: dict[str, Plain], released: dict[str, Plain]
) -> Iterator[str]:
    key, status = held["id"], held["status"]
    by_amount = status == "settled" and held["event"] is None
    if by_amount != (key in settled):
        yield f"is {status}, against what people were told of settling it"
    elif by_amount and settled[key]["drawn"] != held["drawn"]:
        yield f"is settled by {held['drawn']}, not what was asked for"
    if held["event"] is not None:
        sent = [e for e in picture.events if e.key == held["event"] and e.reservation == key]
        if not sent or sent[0].corrects or held["drawn"] < 0:
            yield f"is settled by {held['drawn']} of {held['event'][:8]}, which is not for it"
    if status == "released" and key not in released:
        yield "is released, nobody was told so"
    if status == "expired" and held["ended_at"] != held["expires_at"]:
        yield f"expired at {held['ended_at']}"
    now = picture.evidence.now.get(picture.customer)
    if now and status == "open" and held["expires_at"] <= now:
        yield "is open after its time"
