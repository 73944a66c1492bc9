"""Margin, liability and replays from the command line: pages are added up."""

import json
from pathlib import Path

import pytest

from cli.__main__ import main
from tests.unit.cli.test_commands import Recorder, server

__all__ = ["server"]  # the fixture

MARCH = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-04-01T00:00:00Z"]
ROW = {
    "start": "2026-03-01T00:00:00Z",
    "end": "2026-04-01T00:00:00Z",
    "currency": "USD",
    "group": {"plan": "pro"},
    "revenue": "10.5",
    "accrued": "0",
    "invoiced": "10",
    "cost": "2",
    "margin": "8.5",
}
FILE = """\
plans:
  pro: {name: Pro, currency: USD, fee: "5.00"}
"""


def test_margins_of_several_customers_are_added_up(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    uncosted = [{"meter": "tokens", "quantity": "3"}]
    page = {"data": [ROW], "uncosted": uncosted, "customers": 1, "next_cursor": None}
    server.answers["/v1/analytics/margin"] = (200, page)
    options = ["--customer", "a", "--customer", "b", "--group-by", "plan", "--json"]
    assert main(["margin", *MARCH, *options]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["uncosted"] == {"tokens": "6"}
    [row] = answer["data"]
    assert (row["plan"], row["currency"], row["revenue"], row["margin"]) == (
        "pro", "USD", "21", "17"
    )  # fmt: skip
    assert len(server.asked) == 2


def test_liability_has_a_row_for_each_kind_of_grant(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("opening", "issued", "used", "expired", "voided", "held")
    amounts = dict.fromkeys((*names, "liability", "revenue", "breakage"), "1")
    kind = {"unit": "sparks", "source": "purchase", "cost_basis": "0.04", "currency": "USD"}
    page = {"data": [kind | amounts], "customers": 1, "next_cursor": None}
    server.answers["/v1/analytics/credits"] = (200, page)
    assert main(["liability", *MARCH, "--output", "csv"]) == 0
    heading, row = capsys.readouterr().out.splitlines()
    assert heading.startswith("unit,source,cost_basis,currency,opening,issued,used")
    assert row == "sparks,purchase,0.04,USD" + ",1" * 9


def test_headcounts_of_all_pages_are_added_up(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    def row(plan: str, state: str, *counts: int) -> dict[str, object]:
        names = ("customers", "new", "converted", "cancelled")
        group = {"plan": plan, "state": state}
        return {"group": group, **dict(zip(names, counts, strict=True))}

    data = [row("pro", "active", 3, 2, 1, 0), row("free", "active", 5, 4, 0, 1)]
    page = {"data": data, "customers": 8, "next_cursor": None}
    server.answers["/v1/analytics/customers"] = (200, page)
    options = ["--customer", "a", "--customer", "b", "--group-by", "plan,state"]
    assert main(["headcount", *MARCH, *options, "--output", "csv"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "plan,state,customers,new,converted,cancelled",
        "free,active,10,8,0,2",
        "pro,active,6,4,2,0",
    ]
    assert len(server.asked) == 2
    server.answers["/v1/analytics/customers"] = (200, {**page, "data": []})
    assert main(["headcount", *MARCH]) == 0
    assert "no customers" in capsys.readouterr().out


def test_a_usage_report_has_a_row_for_each_meter_and_group(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    def row(meter: str, plan: str, value: str, **other: bool) -> dict[str, object]:
        times = {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
        group = {"plan": plan}
        return {
            "meter": meter,
            "aggregation": "sum",
            "group": group,
            "value": value,
            **times,
            **other,
        }

    data = [row("calls", "free", "3"), row("tokens", "pro", "5.5", other=True)]
    server.answers["/v1/analytics/usage"] = (200, {"data": data, "customers": 2})
    options = ["--meter", "calls", "--meter", "tokens", "--customer", "a&b", "--group-by", "plan"]
    assert main(["usage-report", *MARCH, *options, "--output", "csv"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "meter,from,to,plan,kind,aggregation,value",
        "calls,2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,free,group,sum,3",
        "tokens,2026-03-01T00:00:00Z,2026-04-01T00:00:00Z,pro,other,sum,5.5",
    ]
    [(_, address, *_)] = server.asked
    assert "meter=calls&meter=tokens&customer=a%26b&from=" in address
    assert "segment" not in address


def test_a_plan_of_a_file_is_replayed(
    server: type[Recorder],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def outcome(revenue: str) -> dict[str, str]:
        return {"revenue": revenue, "margin": revenue}

    compared = {
        "customer": "ada", "phases": 1, "recounted": True, "difference": "-2.00",
        "before": outcome("7.00"), "after": outcome("5.00"),
    }  # fmt: skip
    left = [{"customer": "bob", "reason": "other-interval"}]
    server.answers["/v1/pricing/replay"] = (
        200, {"data": [compared], "left_out": left, "next_cursor": None}
    )  # fmt: skip
    file = tmp_path / "catalogue.yaml"
    file.write_text(FILE)
    assert main(["replay", str(file), "pro", *MARCH]) == 0
    printed = capsys.readouterr().out
    assert "Total" in printed
    assert "left out: bob: other-interval" in printed
    assert json.loads(server.asked[0][2])["plan"] == {
        "name": "Pro", "currency": "USD", "fee": "5.00"
    }  # fmt: skip
    assert main(["replay", str(file), "max", *MARCH]) == 2
