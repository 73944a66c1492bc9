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


def test_published_coupons_are_listed_with_how_often_they_were_given(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    published = {
        **{name: COUPON[name] for name in ("percentage", "amount", "currency", "duration")},
        "key": "launch",
        "name": "Launch",
        "periods": None,
        "redeem_by": None,
        "redemptions": 3,
        "max_redemptions": 250,
        "archived": False,
    }
    server.answers["/v1/coupons"] = (200, {"data": [published], "next_cursor": None})
    assert main(["coupons", "published"]) == 0
    [heading, *_, row] = capsys.readouterr().out.strip().splitlines()
    assert heading.split()[-3:] == ["redemptions", "max_redemptions", "archived"]
    assert row.split()[:2] == ["launch", "Launch"]
    assert row.split()[-3:-1] == ["3", "250"]
