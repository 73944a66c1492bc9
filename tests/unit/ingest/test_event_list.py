"""The range of a list of events is cut by months, the latest first."""

from datetime import UTC, datetime

from shared.services.event_list import months_descending


def at(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)  # type: ignore[arg-type, misc]


def test_months() -> None:
    assert list(months_descending(at(2025, 12, 31), at(2026, 2, 1))) == [
        (at(2026, 1, 1), at(2026, 2, 1)),
        (at(2025, 12, 31), at(2026, 1, 1)),
    ]
    assert list(months_descending(at(2026, 1, 5), at(2026, 1, 6))) == [
        (at(2026, 1, 5), at(2026, 1, 6))
    ]
    assert list(months_descending(at(2026, 1, 5), at(2026, 1, 5))) == []
