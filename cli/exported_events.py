"""Files of `meterline events export`, read back: each event, and what became of it."""

import gzip
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from cli.client import ClientError
from shared.domain.corrections import History, correct
from shared.domain.errors import MeterlineError
from shared.domain.events import Correction, UsageEvent
from shared.domain.proof import Fate
from shared.services.archive import DAMAGE
from shared.wire.strict_json import loads


def read_events(file: Path) -> Iterator[tuple[UsageEvent, Fate]]:
    """The events of an export, each with what became of it, one after the other.

    Raises: ClientError at the first line that is none.
    """
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        try:
            yield from read_entries(loads(line))
        except (ArithmeticError, LookupError, MeterlineError, TypeError, ValueError) as error:
            problem = f"{file}: line {number} is no event as exported: {error!r}"
            raise ClientError(problem) from error


def _lines(file: Path) -> Iterator[bytes]:
    unpacked = gzip.open if file.suffix == ".gz" else open
    try:
        with unpacked(file, "rb") as lines:
            yield from lines
    except DAMAGE as error:
        raise ClientError(f"{file} is damaged: {error}") from error


def read_entries(exported: Any) -> list[tuple[UsageEvent, Fate]]:
    """One exported event and the entries that correct it, each with what became of it."""
    event, fate = read_event(exported)
    found, history = [(event, fate)], History(event)
    for each in exported.get("corrections", ()):
        data = None if each["cancel"] else _data(each["data"])
        at = _instant(each["corrected_at"])
        made = Correction(0, "reversal", each["actor"] or "", at, event.received_at)
        entries = correct(history, data, made, event.received_at)
        found += zip(entries, map(_fate, each["entries"]), strict=True)
        history = History(event, (*history.entries, *entries))
    return found


def read_event(exported: Any) -> tuple[UsageEvent, Fate]:
    """One exported event as it was sent, and what became of it.

    Raises: LookupError, TypeError or ValueError for what no export holds.
    """
    event = UsageEvent(
        customer=_text(exported["subject"]),
        source=_text(exported["source"]),
        id=_text(exported["id"]),
        type=_text(exported["type"]),
        occurred_at=_instant(exported["time"]),
        received_at=_instant(exported["received_at"]),
        catalogue_version=int(exported["catalogue_version"]),
        data=_data(exported["data"]),
        extensions={name: _text(each) for name, each in _members(exported["extensions"])},
    )
    return event, _fate(exported)


def _fate(exported: Any) -> Fate:
    late = exported["late"]
    return Fate(
        quarantined={"accepted": False, "quarantined": True}[exported["status"]],
        late_phase=int(late["phase"]) if late else None,
        late_period=int(late["period"]) if late else None,
    )


def _data(exported: Any) -> dict[str, Any]:
    return {name: _value(value) for name, value in _members(exported)}


def _members(exported: Any) -> Iterable[tuple[str, Any]]:
    if not isinstance(exported, dict):
        raise TypeError(f"an object is expected, not {exported!r}")
    return exported.items()


def _text(exported: Any) -> str:
    if not isinstance(exported, str):
        raise TypeError(f"text is expected, not {exported!r}")
    return exported


def _value(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise TypeError(f"a single value is expected, not {value!r}")
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return at.astimezone(UTC)
