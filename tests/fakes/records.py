"""Records of rewards and earnings in memory: what each is found by, and its version."""

from dataclasses import replace

from shared.domain.earned_shares import Accrual, EarningEntry, Earnings, Payout
from shared.domain.rewards import RewardDay, RewardProgress
from shared.services.changes import Record


def record_key(record: Record) -> tuple[object, ...]:
    """What a record is found by."""
    match record:
        case RewardProgress():
            return ("PROGRESS", record.customer, record.rule)
        case RewardDay():
            return ("DAY", record.customer, record.rule, record.day)
        case Accrual():
            key = (record.customer, record.rule, record.day, record.beneficiary)
            return ("ACCRUAL", *key)
        case Earnings():
            return ("EARNINGS", record.beneficiary, record.rule)
        case EarningEntry():
            key = (record.beneficiary, record.rule, record.source, record.day)
            return ("ENTRY", *key, record.number)
        case Payout():
            return ("PAYOUT", record.beneficiary, record.id)


def at_version(record: Record, version: int) -> Record:
    """The record as it is stored; entries never change and tell of no version."""
    return record if isinstance(record, EarningEntry) else replace(record, version=version)


def version_of(record: Record | None) -> int:
    """The version that is stored: 0 where nothing is."""
    if record is None:
        return 0
    return 1 if isinstance(record, EarningEntry) else record.version
