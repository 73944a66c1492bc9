"""What a price comes to, asked from the command line."""

import json
from pathlib import Path

import pytest

from cli.__main__ import main
from tests.unit.cli.test_commands import Recorder, server

__all__ = ["server"]  # the fixture

PATH = "/v1/pricing/preview"
ANSWER = {
    "amount": "12.345",
    "rounded": "12.35",
    "details": [
        {"tier": 1, "component": "usage", "units": "10", "amount": "13"},
        {"tier": None, "component": "discount_percentage", "units": "0", "amount": "-0.655"},
    ],
}


def test_a_price_in_a_file_is_explained_with_every_digit_sent(
    server: type[Recorder],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.answers[PATH] = (200, ANSWER)
    file = tmp_path / "price.json"
    file.write_text('{"model": "per_unit", "unit_price": 0.100000000001}')
    assert main(["price", str(file), "10.5", "--currency", "USD"]) == 0
    assert json.loads(server.asked[0][2]) == {
        "price": {"model": "per_unit", "unit_price": "0.100000000001"},
        "quantity": "10.5",
        "currency": "USD",
    }
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["usage", "1", "10", "13"] in lines
    assert ["discount_percentage", "0", "-0.655"] in lines
    assert lines[-2:] == [["total", "12.345"], ["in", "USD", "12.35"]]


def test_several_values_are_events(
    server: type[Recorder],
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.answers[PATH] = (200, {**ANSWER, "rounded": None})
    assert main(["price", '{"model": "flat", "amount": "1"}', "1", "2", "--json"]) == 0
    assert json.loads(server.asked[0][2])["events"] == [{"value": "1"}, {"value": "2"}]
    assert json.loads(capsys.readouterr().out)["amount"] == "12.345"


@pytest.mark.parametrize(
    ("price", "said"), [("{not json", "is no JSON"), ("absent.json", "cannot read absent.json")]
)
def test_what_is_no_price_is_said(
    server: type[Recorder],
    price: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["price", price, "1"]) == 2
    assert server.asked == []
    assert said in capsys.readouterr().err
