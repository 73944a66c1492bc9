"""Whatever is counted as lost, delayed or contradictory has an alarm, and a section to read."""

from pathlib import Path

import pytest

from tests.infra.assembly import Assembly
from tests.infra.conftest import REPOSITORY

# (service, counter) -> the threshold that it is alarmed from.
ALARMED = {
    ("ingest", "EventsLackingValue"): 1,
    ("ingest", "EventsConflicting"): 1,
    ("backfill", "BackfillDelayed"): 1,
    ("aggregate", "RecordsQuarantined"): 1,
    ("aggregate", "UsageOverCap"): 1,
    ("aggregate", "BatchesDelayed"): 10,
    ("aggregate", "EventTypesNotNoted"): 1,
    ("archive", "ArchiveDelayed"): 1,
    ("archive", "EventsUnreadable"): 1,
    ("conversions", "ConversionsNotRecorded"): 1,
    ("follow_usage", "UsageNotFollowed"): 1,
    ("follow_usage", "UsageGivenUp"): 1,
    ("follow_usage", "RewardsWaiting"): 1,
    ("settle_earnings", "EarningsDelayed"): 1,
    ("settle_earnings", "EarningsWaiting"): 1,
    ("settle_earnings", "EarningsOfNobody"): 1,
    ("settle_earnings", "EarningsUnclaimed"): 1,
    ("rate_limits", "RequestsNotCounted"): 1,
    ("bill_customer", "BillingDelayed"): 1,
    ("bill_customer", "BillingHeld"): 1,
    ("reconcile_customer", "RepairsMade"): 1,
    ("reconcile_customer", "LedgerGapsSpanned"): 1,
    ("reconcile_customer", "Contradictions"): 1,
    ("reconcile_customer", "ReconciliationDelayed"): 1,
    ("start_reconciliation", "HoursSinceClean"): 26,
}


def test_each_counter_of_a_loss_is_alarmed(assembly: Assembly) -> None:
    alarms = {}
    for alarm in assembly.properties("AWS::CloudWatch::Alarm").values():
        if alarm["Namespace"] == "Meterline":
            [dimension] = alarm["Dimensions"]
            assert dimension["Name"] == "service"
            alarms[dimension["Value"], alarm["MetricName"]] = alarm["Threshold"]
            assert alarm["AlarmActions"]
    assert alarms.items() >= ALARMED.items()


@pytest.mark.parametrize("counter", [name for _, name in ALARMED])
def test_the_functions_log_what_is_alarmed(counter: str) -> None:
    sources = "".join(p.read_text() for p in Path(REPOSITORY / "functions").rglob("*.py"))
    assert f'"{counter}"' in sources


def test_each_alarm_names_a_section_of_the_runbook(assembly: Assembly) -> None:
    runbook = (REPOSITORY / "docs" / "operations.md").read_text()
    for name, alarm in assembly.properties("AWS::CloudWatch::Alarm").items():
        section = alarm["AlarmDescription"].partition("«")[2].partition("»")[0]
        assert f"### {section}\n" in runbook, name
