"""`meterline coupons`: what is asked of the API, and what is shown."""

import json

import pytest

from cli.__main__ import main
from tests.unit.cli.test_commands import Recorder, server

__all__ = ["server"]  # the fixture

COUPON = {
    "id": "cp_1",
    "coupon": "launch",
    "percentage": "20",
    "amount": None,
    "currency": None,
    "duration": "once",
    "state": "active",
    "first_period": 1,
    "last_period": None,
    "periods_left": 1,
    "amount_left": None,
}


PLACE = "/v1/customers/ada/coupons"


@pytest.mark.parametrize(
    ("arguments", "asked", "body"),
    [
        (["list", "ada"], ("GET", PLACE), None),
        (["apply", "ada", "launch"], ("POST", PLACE), {"coupon": "launch"}),
        (["end", "ada", "cp_1"], ("POST", f"{PLACE}/cp_1/end"), None),
    ],
)
def test_coupons_are_listed_applied_and_ended(
    server: type[Recorder],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    asked: tuple[str, str],
    body: object,
) -> None:
    method, place = asked
    server.answers[place] = (200, {"data": [COUPON]} if method == "GET" else COUPON)
    assert main(["coupons", *arguments]) == 0
    [(*sent_to, sent)] = [call[:3] for call in server.asked]
    assert (tuple(sent_to), json.loads(sent or b"null")) == (asked, body)
    assert "cp_1" in capsys.readouterr().out
