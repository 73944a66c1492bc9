"""What events say of their types."""

from datetime import timedelta
from decimal import Decimal

from shared.domain.event_types import MAX_PROPERTIES_SEEN, event_types
from tests.support.builders import MARCH, usage


def test_properties_and_kinds_are_gathered_by_type() -> None:
    data = {"tokens": Decimal(1), "model": "small", "cached": True, "note": None}
    later = usage("ada", 2, MARCH + timedelta(minutes=90), {"tokens": "12"})
    found = event_types([later, usage("ada", 1, MARCH, data), usage("bob", 3, MARCH, type="disk")])
    assert sorted(found) == ["chat", "disk"]
    chat = found["chat"]
    assert sorted(chat.properties) == [
        ("cached", "boolean"),
        ("model", "string"),
        ("note", "null"),
        ("tokens", "number"),
        ("tokens", "string"),
    ]
    assert chat.first_seen == MARCH + timedelta(seconds=2)
    assert chat.last_seen == MARCH + timedelta(hours=1), "to the hour, or each batch would be news"
    assert not chat.overflow


def test_made_up_names_are_bounded_and_seen_to_be() -> None:
    named = [usage("ada", n, MARCH, {f"p{n:03}": "x"}) for n in range(MAX_PROPERTIES_SEEN)]
    full = event_types(named)["chat"]
    assert (len(full.properties), full.overflow) == (MAX_PROPERTIES_SEEN, False)
    more = full.with_seen(event_types([usage("ada", "m", MARCH, {"zz": "x"})])["chat"])
    assert (more.properties, more.overflow) == (full.properties, True)
    assert full.with_seen(full) == full
