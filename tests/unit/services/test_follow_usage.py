"""What one customer's usage meets holds up no other customer, and none for ever."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from functions.follow_usage import TRIED_FOR, handler
from shared.adapters.dynamodb.billing_items import usage_hour_item
from shared.domain.errors import UnavailableError
from shared.domain.usage_days import DayKey
from shared.domain.usage_hours import HourKey, UsageHour
from shared.services.rewards import Given
from tests.fakes.clocks import SettableClock
from tests.support.builders import HOUR, MARCH

MINUTE = timedelta(minutes=1)


class Following:
    """Rewards and earnings that note what they are told of, and fail for some customers."""

    def __init__(self) -> None:
        self.failing: dict[str, Exception] = {}
        self.counted: list[str] = []
        self.marked: list[str] = []
        self.noted: list[DayKey] = []

    def count(self, customer: str, meter: str, hours: Iterable[datetime]) -> Given:
        if customer in self.failing:
            raise self.failing[customer]
        self.counted.append(customer)
        return Given(grants=1)

    def note_changes(self, days: Iterable[DayKey]) -> None:
        self.noted += days

    def changed(self, customer: str, meter: str, hours: Mapping[datetime, str]) -> None:
        self.marked.append(customer)


@pytest.fixture
def following(monkeypatch: pytest.MonkeyPatch) -> Following:
    made = Following()
    here = SimpleNamespace(clock=SettableClock(MARCH))
    monkeypatch.setattr("functions.follow_usage.runtime", lambda: here)
    monkeypatch.setattr("functions.follow_usage.rewards_of", lambda _: made)
    monkeypatch.setattr("functions.follow_usage.shares_of", lambda _: made)
    monkeypatch.setattr("functions.follow_usage.usage_days_of", lambda _: made)
    return made


def record(
    sequence: int, customer: str, age: timedelta = MINUTE, at: datetime = MARCH - HOUR
) -> dict[str, Any]:
    hour = UsageHour(HourKey(customer, "messages", at, (), False, False))
    change = {"NewImage": usage_hour_item(hour), "SequenceNumber": str(sequence)}
    change["ApproximateCreationDateTime"] = (MARCH - age).timestamp()
    return {"dynamodb": change}


def unreadable(sequence: int, age: timedelta = MINUTE) -> dict[str, Any]:
    found = record(sequence, "ada", age)
    del found["dynamodb"]["NewImage"]["quarters"]
    return found


def failures(*records: dict[str, Any]) -> list[str]:
    answer = handler({"Records": list(records)}, None)
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


@pytest.mark.parametrize("error", [UnavailableError("no account yet"), KeyError("a bug")])
def test_one_failing_customer_is_tried_again_and_the_others_are_counted(
    following: Following, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    following.failing["bob"] = error
    records = [record(8, "ada"), record(9, "bob"), record(10, "bob"), record(11, "cy")]
    # Of an hour that changed twice, the last record stands for both.
    assert failures(*records) == ["10"]
    assert following.counted == ["ada", "cy"]
    assert following.marked == ["ada", "bob", "cy"]
    out = capsys.readouterr().out
    assert '"UsageNotFollowed": 1' in out
    assert "UsageGivenUp" not in out
    following.failing.clear()
    assert failures(*records[2:]) == []
    assert following.counted == ["ada", "cy", "bob", "cy"]


def test_what_fails_for_long_is_left_to_a_recount(
    following: Following,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    following.failing["bob"] = UnavailableError("no account yet")
    assert failures(record(1, "bob", TRIED_FOR), record(2, "ada")) == []
    assert '"UsageGivenUp": 1' in capsys.readouterr().out
    told = vars(caplog.records[-1])
    assert (told["customer"], told["first"]) == ("bob", "2026-02-28T23:00:00+00:00")
    younger = record(4, "bob", TRIED_FOR - MINUTE)
    assert failures(record(3, "cy"), younger) == ["4"]


def test_a_record_that_cannot_be_read_keeps_no_other_from_being_counted(
    following: Following, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failures(unreadable(1), record(2, "bob")) == ["1"]
    assert failures(unreadable(1, TRIED_FOR), record(2, "bob")) == []
    assert following.counted == ["bob", "bob"]
    assert capsys.readouterr().out.count('"UsageNotFollowed": 1') == 2


def test_changes_of_days_long_over_are_noted_once_each_and_those_of_others_are_not(
    following: Following,
) -> None:
    old = MARCH - timedelta(days=3)
    hours = (old, old + HOUR, old + timedelta(hours=23), old + timedelta(days=2))
    changes = [record(number, "ada", at=at) for number, at in enumerate(hours, 1)]
    assert failures(*changes, record(9, "bob", at=old + HOUR)) == []
    assert following.noted == [DayKey(who, "messages", old) for who in ("ada", "bob")]
