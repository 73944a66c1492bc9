"""Records of rewards and earnings as items, each under a version of its own."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.attributes import Item, from_item, to_item
from shared.domain.earned_shares import Accrual, EarningEntry, Earnings, Payout
from shared.domain.events import utc_text, utc_time
from shared.domain.rewards import RewardDay, RewardProgress
from shared.services.changes import Record

PROGRESS_PREFIX = "REWARD#"
DAY_PREFIX = "REWARD_DAY#"
EARNINGS_PREFIX = "EARNINGS#"
ENTRY_PREFIX = "EARNED#"
PAYOUT_PREFIX = "PAYOUT#"
EARNINGS_KIND = "EARNINGS"
# Earnings with nothing held sort behind all that a day releases.
NOTHING_HELD = "~"


def day_key(rule: str, day: str) -> str:
    """The sort key of what a rule counted of a day."""
    return f"{DAY_PREFIX}{rule}#{day}"


def accrual_key(rule: str, day: str, beneficiary: str = "") -> str:
    """The sort key of an accrual, or what those of a day begin with."""
    return f"ACCRUED#{rule}#{day}#{beneficiary}"


def record_item(record: Record, version: int) -> Item:
    """The record as it is stored at the version."""
    return to_item({**_members(record), "version": version})


def _members(record: Record) -> dict[str, object]:
    match record:
        case RewardProgress():
            return {
                "pk": customer_partition(record.customer),
                "sk": PROGRESS_PREFIX + record.rule,
                "since": record.since,
                "months": record.months,
                "given": record.given,
            }
        case RewardDay():
            sort_key = day_key(record.rule, record.day)
            return {
                "pk": customer_partition(record.customer),
                "sk": sort_key,
                "hours": record.hours,
            }
        case Accrual():
            return {
                "pk": customer_partition(record.customer),
                "sk": accrual_key(record.rule, record.day, record.beneficiary),
                "quantity": record.quantity,
                "nanos": record.nanos,
            }
        case Earnings():
            return _earnings_members(record)
        case EarningEntry():
            return _entry_members(record)
        case Payout():
            return _payout_members(record)


def _earnings_members(earnings: Earnings) -> dict[str, object]:
    release = earnings.next_release or NOTHING_HELD
    return {
        "pk": customer_partition(earnings.beneficiary),
        "sk": EARNINGS_PREFIX + earnings.rule,
        "kind": EARNINGS_KIND,
        "kind_sort": f"{release}#{earnings.rule}#{earnings.beneficiary}",
        "unit": earnings.unit,
        "held": earnings.held,
        "due": earnings.due,
        "paid": earnings.paid,
        "payouts": earnings.payouts,
    }


def _entry_members(entry: EarningEntry) -> dict[str, object]:
    # The number of a source's day tells entries of an instant apart, whatever the source is called.
    order = f"{utc_text(entry.at)}#{entry.rule}#{entry.day}#{entry.number}#{entry.source}"
    return {
        "pk": customer_partition(entry.beneficiary),
        "sk": ENTRY_PREFIX + order,
        "rule": entry.rule,
        "source": entry.source,
        "day": entry.day,
        "number": entry.number,
        "quantity": entry.quantity,
        "nanos": entry.nanos,
        "unit": entry.unit,
        "release_day": entry.release_day,
        "at": entry.at,
    }


def _payout_members(payout: Payout) -> dict[str, object]:
    return {
        "pk": customer_partition(payout.beneficiary),
        "sk": PAYOUT_PREFIX + payout.id,
        "id": payout.id,
        "rule": payout.rule,
        "unit": payout.unit,
        "nanos": payout.nanos,
        "payable": payout.payable,
        "state": payout.status,
        "at": payout.at,
        "grant": payout.grant,
        "reference": payout.reference,
        "paid_at": payout.paid_at,
    }


def read_progress(item: Mapping[str, Any]) -> RewardProgress:
    """The progress of an item."""
    stored = from_item(item)
    return RewardProgress(
        customer=_customer(stored),
        rule=stored["sk"].removeprefix(PROGRESS_PREFIX),
        since=utc_time(stored["since"]),
        months=stored["months"],
        given=int(stored["given"]),
        version=int(stored["version"]),
    )


def read_day(item: Mapping[str, Any]) -> RewardDay:
    """The day of an item."""
    stored = from_item(item)
    rule, _, day = stored["sk"].removeprefix(DAY_PREFIX).partition("#")
    return RewardDay(_customer(stored), rule, day, stored["hours"], int(stored["version"]))


def read_accrual(item: Mapping[str, Any]) -> Accrual:
    """The accrual of an item."""
    stored = from_item(item)
    _, rule, day, beneficiary = stored["sk"].split("#", 3)
    return Accrual(
        customer=_customer(stored),
        rule=rule,
        day=day,
        beneficiary=beneficiary,
        quantity=stored["quantity"],
        nanos=int(stored["nanos"]),
        version=int(stored["version"]),
    )


def read_earnings(item: Mapping[str, Any]) -> Earnings:
    """The earnings of an item."""
    stored = from_item(item)
    return Earnings(
        beneficiary=_customer(stored),
        rule=stored["sk"].removeprefix(EARNINGS_PREFIX),
        unit=stored["unit"],
        held={day: int(nanos) for day, nanos in stored["held"].items()},
        due=int(stored["due"]),
        paid=int(stored["paid"]),
        payouts=int(stored["payouts"]),
        version=int(stored["version"]),
    )


def read_entry(item: Mapping[str, Any]) -> EarningEntry:
    """The entry of an item."""
    stored = from_item(item)
    return EarningEntry(
        beneficiary=_customer(stored),
        rule=stored["rule"],
        source=stored["source"],
        day=stored["day"],
        number=int(stored["number"]),
        quantity=Decimal(stored["quantity"]),
        nanos=int(stored["nanos"]),
        unit=stored["unit"],
        release_day=stored["release_day"],
        at=utc_time(stored["at"]),
    )


def read_payout(item: Mapping[str, Any]) -> Payout:
    """The payout of an item."""
    stored = from_item(item)
    paid_at: datetime | None = utc_time(stored["paid_at"]) if "paid_at" in stored else None
    return Payout(
        id=stored["id"],
        beneficiary=_customer(stored),
        rule=stored["rule"],
        unit=stored["unit"],
        nanos=int(stored["nanos"]),
        payable=stored["payable"],
        status=stored["state"],
        at=utc_time(stored["at"]),
        grant=stored.get("grant"),
        reference=stored.get("reference"),
        paid_at=paid_at,
        version=int(stored["version"]),
    )


def _customer(stored: Mapping[str, Any]) -> str:
    key: str = stored["pk"].removeprefix("C#")
    return key
