"""`meterline events correct`: one event is cancelled, or counts with other data."""

import json
from decimal import Decimal
from typing import Any

import pytest

from cli.__main__ import main
from cli.client import Client


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is sent; the answer has the data that is to count."""
    sent: list[Any] = []

    class Recorder(Client):
        def call(self, method: str, path: str, **options: Any) -> Any:
            sent.append((method, path, options))
            return {"data": json.loads(options["body"], parse_float=Decimal).get("data")}

    monkeypatch.setattr(Client, "from_environment", lambda: Recorder("http://here", "key"))
    return sent


def test_an_event_is_cancelled(calls: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    command = ["events", "correct", "ada", "web", "e-1", "--cancel", "--reason", "a test"]
    assert main(command) == 0
    [(method, path, options)] = calls
    assert (method, path) == ("POST", "/v1/events/correction")
    assert json.loads(options["body"]) == {
        "customer": "ada",
        "source": "web",
        "id": "e-1",
        "cancel": True,
        "reason": "a test",
    }
    assert capsys.readouterr().out == "ada web e-1 is cancelled\n"


def test_other_data_is_sent_to_the_last_digit_under_a_key_of_its_own(
    calls: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["events", "correct", "ada", "web", "e-1", "--data", '{"load": 0.10000000000000001}']
    assert main(command) == 0
    assert main(command) == 0
    bodies = [options["body"].decode() for _, _, options in calls]
    assert (
        bodies
        == ['{"customer":"ada","data":{"load":0.10000000000000001},"id":"e-1","source":"web"}'] * 2
    )
    keys = {options["headers"]["Idempotency-Key"] for _, _, options in calls}
    assert len(keys) == 2
    assert 'counts with {"load":0.10000000000000001}' in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [["--data", "{"], ["--data", '{"a": 1, "a": 2}']])
def test_what_is_no_json_is_not_sent(
    wrong: list[str], calls: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["events", "correct", "ada", "web", "e-1", *wrong]) == 1
    assert "--data is no JSON" in capsys.readouterr().err
    assert calls == []


@pytest.mark.parametrize("choice", [[], ["--cancel", "--data", "{}"]])
def test_it_is_either_cancelled_or_replaced(choice: list[str], calls: list[Any]) -> None:
    with pytest.raises(SystemExit):
        main(["events", "correct", "ada", "web", "e-1", *choice])
    assert calls == []
