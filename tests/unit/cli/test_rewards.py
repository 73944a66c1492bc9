"""`meterline rewards` and `meterline earnings`: what is asked of the API, and what is shown."""

import json

import pytest

from cli.__main__ import main
from tests.unit.cli.test_commands import Recorder, server

__all__ = ["server"]  # the fixture

REWARD = {
    "rule": "every-5",
    "unit": "sparks",
    "counted": "13",
    "every": "5",
    "towards_next": "3",
    "given": "2",
    "waiting": "0",
    "ahead": "0",
    "capped": False,
}
RULE = {"key": "every-5", "meter": "messages", "where": {"model": "small"}, "every": "5"}
RULE |= {"amount": "1", "unit": "sparks", "cap": None, "expires": "P90D"}
DATES = {"created_at": "2026-03-10T12:00:00Z", "archived_at": None}
SHARE = {"unit_price": "0.1", "percentage": "30"}
EARNING_RULE = {"key": "owners", "meter": "chats", "beneficiary": "owner", "share": SHARE}
EARNING_RULE |= {"unit": "sparks", "hold": "P14D", "payable": "credits"}
EARNED = {"rule": "owners", "unit": "sparks", "accrued": "3", "held": "1", "due": "0"}
EARNED |= {"to_transfer": "2", "paid": "0", "next_release": "2026-03-24"}
PAYOUT = {"id": "po_1", "rule": "owners", "unit": "USD", "amount": "2", "payable": "transfer"}
PAYOUT |= {"status": "due", "at": "2026-03-25T01:00:00Z", "reference": None}
ENTRY = {"at": "2026-03-11T01:00:00Z", "rule": "owners", "source": "fan", "day": "2026-03-10"}
ENTRY |= {"quantity": "10", "amount": "0.3", "unit": "sparks", "held_until": "2026-03-24"}
SUMMARY = {"data": [EARNED], "payouts": [PAYOUT]}


@pytest.mark.parametrize(
    ("arguments", "served", "shown"),
    [
        ("rewards rules", ("/v1/reward-rules", {"data": [RULE | DATES]}), "model=small"),
        ("rewards show ada", ("/v1/customers/ada/rewards", {"data": [REWARD]}), "every-5"),
        (
            "earnings rules",
            ("/v1/earning-rules", {"data": [EARNING_RULE | DATES]}),
            "percentage=30",
        ),
        ("earnings show ada", ("/v1/customers/ada/earnings", SUMMARY), "2026-03-24"),
        ("earnings payouts ada", ("/v1/customers/ada/earnings", SUMMARY), "po_1"),
        (
            "earnings entries ada --limit 1",
            (
                "/v1/customers/ada/earnings/entries",
                {"data": [ENTRY, {**ENTRY, "source": "beyond"}]},
            ),
            "fan",
        ),
    ],
)
def test_rules_and_what_customers_have_by_them_are_shown(
    server: type[Recorder],
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    served: tuple[str, object],
    shown: str,
) -> None:
    place, answer = served
    server.answers[place] = (200, answer)
    assert main(arguments.split()) == 0
    out = capsys.readouterr().out
    assert shown in out
    assert "beyond" not in out


@pytest.mark.parametrize(
    ("what", "answer", "shown"),
    [
        ("rewards", {"given": 1, "waiting": 2}, ["1", "2"]),
        ("earnings", {"accrued": 3, "nobody": 0, "later": 4}, ["3", "0", "4"]),
    ],
)
def test_a_recount_names_the_customer_and_only_the_time_that_was_said(
    server: type[Recorder],
    capsys: pytest.CaptureFixture[str],
    what: str,
    answer: object,
    shown: list[str],
) -> None:
    server.answers[f"/v1/{what}/recount"] = (200, answer)
    assert main([what, "recount", "ada"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == shown
    span = ["--from", "2026-03-10T00:00:00Z", "--to", "2026-03-11T00:00:00Z"]
    assert main([what, "recount", "ada", *span]) == 0
    bodies = [json.loads(call[2]) for call in server.asked]
    times = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"}
    assert bodies == [{"customer": "ada"}, {"customer": "ada", **times}]
    assert {call[:2] for call in server.asked} == {("POST", f"/v1/{what}/recount")}
