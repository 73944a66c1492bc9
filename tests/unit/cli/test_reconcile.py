"""`meterline reconcile` against a server that records what it is asked."""

import pytest

from cli.__main__ import main
from tests.unit.cli.test_commands import Recorder, server  # noqa: F401  (a fixture)

PATH = "/v1/reconciliation/ada"
PASS = {"finished": True, "repaired": 3, "spanned": 0, "findings": []}


def test_a_customer_is_reconciled_now(
    server: type[Recorder],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.answers[PATH] = (200, PASS)
    assert main(["reconcile", "ada"]) == 0
    assert capsys.readouterr().out == "3 events repaired, 0 gaps in the ledger spanned\n"
    server.answers[PATH] = (200, {**PASS, "findings": ["usage of tokens: 1 more"]})
    assert main(["reconcile", "ada"]) == 1
    assert "contradiction: usage of tokens: 1 more" in capsys.readouterr().out
    server.answers[PATH] = (200, {**PASS, "finished": False})
    assert main(["reconcile", "ada"]) == 1
    assert "run it again" in capsys.readouterr().out


def test_without_a_customer_everything_is_shown(
    server: type[Recorder],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.answers["/v1/reconciliation"] = (200, {"clean_at": None, "data": []})
    assert main(["reconcile"]) == 0
    assert capsys.readouterr().out == "everything was right at no time yet\n"
    note = {"customer": "ada", "findings": ["usage of tokens: 1 more"]}
    server.answers["/v1/reconciliation"] = (200, {"clean_at": "2026-03-01", "data": [note]})
    assert main(["reconcile"]) == 1
    assert "ada: usage of tokens: 1 more" in capsys.readouterr().out


def test_release_is_asked_of_the_hold(
    server: type[Recorder],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "do_DELETE", server.do_GET, raising=False)
    server.answers[f"{PATH}/hold"] = (200, None)
    assert main(["reconcile", "ada", "--release"]) == 0
    assert server.asked[0][:2] == ("DELETE", f"{PATH}/hold")
