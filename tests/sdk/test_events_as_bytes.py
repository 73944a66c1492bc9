"""An event is encoded once: its identity and time are its own before anything is sent."""

import json
import time
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from meterline_client import uuid7
from meterline_client._event import decode_event, encode_event

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def encoded(**more: Any) -> dict[str, Any]:
    known: dict[str, Any] = {"id": "1", "source": "app", "type": "t", "customer": "acme"}
    return decode_event(encode_event(**{**known, "data": None, "at": NOON, **more}))


def test_ids_are_uuids_of_version_7_in_the_order_of_time() -> None:
    before = time.time_ns() // 1_000_000
    ids = [uuid.UUID(uuid7()) for _ in range(2000)]
    after = time.time_ns() // 1_000_000
    assert len(set(ids)) == len(ids)
    assert {(i.version, i.variant) for i in ids} == {(7, uuid.RFC_4122)}
    moments = [i.int >> 80 for i in ids]
    assert moments == sorted(moments)
    assert before <= moments[0] <= moments[-1] <= after


def test_every_random_bit_of_an_id_varies() -> None:
    ids = [uuid.UUID(uuid7()).int & (1 << 80) - 1 for _ in range(2000)]
    fixed = 0x7 << 76 | 0x2 << 62
    every = any_set = ids[0]
    for number in ids:
        every &= number
        any_set |= number
    assert every == fixed
    assert any_set == fixed | ((1 << 76) - 1) ^ (0x1 << 62 | 0x2 << 62) | 0x2 << 62


def test_an_event_is_a_cloudevent_on_one_line_of_ascii() -> None:
    payload = encode_event(
        id='"é\n', source="app", type="t", customer="acme", data={"text": "zwölf\n"}, at=NOON
    )
    assert payload.isascii()
    assert b"\n" not in payload
    assert json.loads(payload) == {
        "specversion": "1.0",
        "id": '"é\n',
        "source": "app",
        "type": "t",
        "subject": "acme",
        "time": "2026-03-10T12:00:00+00:00",
        "data": {"text": "zwölf\n"},
    }


def test_decimals_keep_every_digit_as_text() -> None:
    data = {"gb": Decimal("0.1000000001"), "huge": Decimal("1E+3"), "n": 3, "ok": True, "no": None}
    expected = {"gb": "0.1000000001", "huge": "1000", "n": 3, "ok": True, "no": None}
    assert encoded(data=data)["data"] == expected


def test_without_a_time_it_is_now() -> None:
    before = datetime.now(UTC)
    at = datetime.fromisoformat(encoded(at=None)["time"])
    assert before <= at <= datetime.now(UTC)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN"), object(), b"x"])
def test_what_json_cannot_say_is_refused_where_it_is_metered(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        encoded(data={"n": value})


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="timezone"):
        encoded(at=datetime(2026, 3, 10))  # noqa: DTZ001


@pytest.mark.parametrize("name", ["id", "source", "type", "customer"])
def test_names_are_text(name: str) -> None:
    with pytest.raises(TypeError):
        encoded(**{name: 7})
