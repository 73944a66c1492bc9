"""V1: corrections are stored all or nothing, once each, as people were told of them."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from tests.simulation.auditor.evidence import Evidence, Finding, Plain, canonical, identity

Key = tuple[str, str]  # customer, and the key of the event as it was sent


def corrections_are_kept(evidence: Evidence) -> Iterator[Finding]:
    """V1: each correction takes back what was in force, and is one that somebody ordered."""
    sent = {(item["pk"], item["sk"]): item for item in evidence.raw if "correction" not in item}
    entries: dict[Key, dict[int, dict[str, Plain]]] = defaultdict(lambda: defaultdict(dict))
    for item in evidence.raw:
        if "correction" in item:
            number, role = int(item["correction"]["n"]), item["correction"]["role"]
            text = json.dumps([item["source"], item["id"], number, role], separators=(",", ":"))
            if item["sk"] != hashlib.sha256(text.encode()).hexdigest():
                yield Finding("V1", f"{item['pk']}: a {role} under another key")
            root = item["pk"], identity(item["source"], item["id"])
            entries[root][number][role] = item
    told = _told(evidence)
    for key in sorted({*entries, *told}):
        if key not in sent:
            yield Finding("V1", f"{key}: corrected, and not there")
            continue
        yield from _follows(key, sent[key], entries.get(key, {}), told.get(key, []))


def _told(evidence: Evidence) -> dict[Key, list[tuple[int, str | None]]]:
    """What people were told: after correction n, this data counts; or (None) nothing."""
    told: dict[Key, list[tuple[int, str | None]]] = defaultdict(list)
    for order in evidence.orders:
        if order["kind"] == "correction":
            about = order["about"]
            key = order["customer"], identity(about["source"], about["id"])
            data = None if about["data"] is None else _data(about["data"])
            told[key].append((order["answer"]["number"], data))
    return told


def _follows(
    key: Key,
    sent: Plain,
    entries: dict[int, dict[str, Plain]],
    told: list[tuple[int, str | None]],
) -> Iterator[Finding]:
    name = f"{key[0]} {key[1][:8]}"
    numbers = sorted(entries)
    if numbers != list(range(1, len(numbers) + 1)):
        yield Finding("V1", f"{name}: corrections are numbered {numbers}")
        return
    in_force: list[str | None] = [_data(sent["data"])]
    for number in numbers:
        reversal = entries[number].get("reversal")
        if reversal is None or in_force[-1] != _data(reversal["data"]):
            yield Finding("V1", f"{name}: correction {number} takes back what did not count")
            return
        for entry in entries[number].values():
            if any(entry[part] != sent[part] for part in ("type", "occurred_at")):
                yield Finding("V1", f"{name}: correction {number} has another type or time")
        replacement = entries[number].get("replacement")
        in_force.append(_data(replacement["data"]) if replacement else None)
    for number, data in told:
        if number >= len(in_force) or in_force[number] != data:
            yield Finding("V1", f"{name}: after correction {number} counts what nobody was told")
    unordered = set(numbers) - {number for number, _ in told}
    if unordered:
        yield Finding("V1", f"{name}: corrections {sorted(unordered)} that nobody was told of")


def _data(text: str) -> str:
    return canonical(json.loads(text, parse_float=Decimal, parse_int=Decimal))
