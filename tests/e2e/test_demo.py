"""The demo, smaller: it plays a month, reports, and fails when a figure is off."""

import os
import subprocess
import sys

import pytest

from local import demo
from local.demo.compare import Comparison
from local.home import REPOSITORY
from tests.e2e.conftest import LocalStack

EVENTS = 1500


def test_the_figures_agree_with_the_tally(stack: dict[str, str], local_stack: LocalStack) -> None:
    environment = {
        **os.environ,
        "METERLINE_LOCAL_DIR": str(local_stack.home.path),
        "PORT": str(local_stack.port),
    }
    played = subprocess.run(
        [sys.executable, "-m", "local", "demo", "--seed", "11", "--events", str(EVENTS)],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert f"accepted    {EVENTS:,}" in played.stdout
    for part in ("Ledger of", "Pro fee", "/portal#token=", "agree with the tally"):
        assert part in played.stdout


def test_a_difference_fails_the_demo_loudly(
    stack: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    compare = Comparison.end

    def forgetful(self: Comparison) -> list[str]:
        account = next(iter(self.tally.accounts.values()))
        account.usage["messages", ""] += 1
        return compare(self)

    monkeypatch.setattr(Comparison, "end", forgetful)
    assert demo.run(stack, seed=12, events=300) == 1
    shown = capsys.readouterr().out
    assert "FAILED: 1 differences" in shown
    assert "usage of messages: expected" in shown
