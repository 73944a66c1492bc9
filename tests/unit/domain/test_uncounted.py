"""Why meters do not count an event of their type is told, one reason each."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from shared.domain.catalogue import Catalogue, Meter
from shared.domain.events import Value
from shared.domain.uncounted import Uncounted, uncounted
from tests.support.builders import MARCH, usage

SUM = Meter("tokens", "chat", "sum", "tokens", filter={"model": ("large",)})
UNIQUE = Meter("users", "chat", "unique_count", "user")


def a_catalogue(*meters: Meter) -> Catalogue:
    return Catalogue(9, {meter.key: meter for meter in meters})


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"model": "large", "tokens": Decimal(0), "user": "ada"}, {}),
        ({"model": "large", "tokens": "7", "user": True}, {}),
        ({"model": "small", "user": Decimal(1)}, {"tokens": "filtered-out"}),
        ({"model": "large", "user": None}, {"tokens": "no-value", "users": "no-value"}),
        ({"model": "large", "tokens": "many", "user": "ada"}, {"tokens": "no-value"}),
    ],
)
def test_filters_and_missing_values(
    data: Mapping[str, Value], why: Mapping[str, Uncounted]
) -> None:
    assert uncounted(usage("ada", 1, MARCH, data), a_catalogue(SUM, UNIQUE)) == why


def test_meters_made_later_or_archived_before_and_of_other_types() -> None:
    count = Meter("chats", "chat", "count")
    meters = (
        replace(count, key="later", since=6),
        replace(count, key="archived", archived_since=5),
        replace(count, key="archived-later", archived_since=6),
        replace(count, key="other", event_type="visit"),
    )
    event = usage("ada", 1, MARCH, catalogue_version=5)
    assert uncounted(event, a_catalogue(*meters)) == {
        "later": "made-later",
        "archived": "archived",
    }
