"""Whatever is delayed, set aside or lost is counted by the function that meets it."""

import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from functions import (
    _reconciliation,
    aggregate,
    archive,
    bill_customer,
    follow_usage,
    settle_earnings,
)
from shared.domain.errors import UnavailableError
from shared.services.aggregate import Outcome
from shared.services.earned_shares import Settled
from shared.services.reconcile import Pass
from shared.services.rewards import Given
from tests.support.builders import MARCH, usage
from tests.support.streams import batch, usage_record

BUSY = UnavailableError("the database is overloaded")
RECORD = usage_record(usage("ada", 1, MARCH), 7)
NO_HURRY = SimpleNamespace(get_remaining_time_in_millis=lambda: 10**6)


def refuse(*_: object) -> Any:
    raise BUSY


def counters(capsys: pytest.CaptureFixture[str]) -> Mapping[str, int]:
    """What was counted since the last look, as CloudWatch reads it."""
    found: dict[str, int] = {}
    for line in capsys.readouterr().out.splitlines():
        told = json.loads(line)
        if "_aws" in told:
            [directive] = told["_aws"]["CloudWatchMetrics"]
            assert directive["Namespace"] == "Meterline"
            found |= {each["Name"]: told[each["Name"]] for each in directive["Metrics"]}
    return found


def test_aggregation_counts_what_it_sets_aside_and_what_comes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = Outcome(applied=1, quarantined=2, over_cap=3, error=BUSY, failed_from=7)
    here = SimpleNamespace(
        aggregator=SimpleNamespace(apply=lambda *_: outcome),
        event_types=SimpleNamespace(note=list),
    )
    monkeypatch.setattr("functions.aggregate.runtime", lambda: here)
    answer = aggregate.handler(batch([RECORD]), None)
    assert answer["batchItemFailures"] == [{"itemIdentifier": "7"}]
    found = counters(capsys)
    assert found["RecordsQuarantined"] == 2
    assert found["UsageOverCap"] == 3
    assert found["BatchesDelayed"] == 1


def test_a_batch_that_cannot_be_archived_is_counted_and_comes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    files = SimpleNamespace(hold=refuse, put=refuse)
    here = SimpleNamespace(archive_files=files)
    monkeypatch.setattr("functions.archive.runtime", lambda: here)
    answer = archive.handler({"Records": [RECORD]}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "7"}]}
    assert counters(capsys) == {"ArchiveDelayed": 1}


def test_billing_that_must_wait_is_counted_and_comes_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = SimpleNamespace(billing_run=SimpleNamespace(bill=refuse))
    monkeypatch.setattr("functions.bill_customer.runtime", lambda: here)
    body = json.dumps({"customer": "ada", "as_of": "2026-03-01T00:00:00Z"})
    answer = bill_customer.handler({"Records": [{"messageId": "m", "body": body}]}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    assert counters(capsys) == {"BillingDelayed": 1}


def test_a_run_over_earnings_counts_what_it_could_not_settle(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Settled(nobody=1, unclaimed=2, waiting=3, failed=4)
    settling = SimpleNamespace(settle=lambda _: done)
    monkeypatch.setattr("functions.settle_earnings.runtime", lambda: None)
    monkeypatch.setattr("functions.settle_earnings.shares_of", lambda _: settling)
    settle_earnings.handler({}, NO_HURRY)
    assert counters(capsys) == {
        "EarningsOfNobody": 1,
        "EarningsUnclaimed": 2,
        "EarningsWaiting": 3,
        "EarningsDelayed": 4,
    }


def test_rewards_that_wait_and_gaps_in_the_ledger_are_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    follow_usage.report(Given(waiting=2))
    assert counters(capsys) == {"RewardsWaiting": 2}
    _reconciliation.report(Pass(spanned=3, finished=False))
    assert counters(capsys) == {"LedgerGapsSpanned": 3}
