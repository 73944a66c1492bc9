"""Reward and earning rules as they stand among the catalogue's items."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.domain.earning_rules import EarningRule
from shared.domain.events import utc_time
from shared.domain.reward_rules import RewardCap, RewardRule

REWARD_PREFIX = "REWARD#"
EARNING_PREFIX = "EARNING#"


def rule_sort_key(rule: RewardRule | EarningRule) -> str:
    """Where the rule stands in the catalogue's partition."""
    prefix = REWARD_PREFIX if isinstance(rule, RewardRule) else EARNING_PREFIX
    return prefix + rule.key


def read_reward_rule(body: Mapping[str, Any]) -> RewardRule:
    """The rule of a stored body."""
    cap = body.get("cap")
    return RewardRule(
        key=body["key"],
        meter=body["meter"],
        every=body["every"],
        unit=body["unit"],
        nanos=int(body["nanos"]),
        created_at=utc_time(body["created_at"]),
        where=body["where"],
        cap=RewardCap(cap["per"], int(cap["nanos"])) if cap else None,
        expires_days=None if body.get("expires_days") is None else int(body["expires_days"]),
        priority=int(body["priority"]),
        starts_at=_time(body, "starts_at"),
        archived_at=_time(body, "archived_at"),
    )


def read_earning_rule(body: Mapping[str, Any]) -> EarningRule:
    """The rule of a stored body."""
    return EarningRule(
        key=body["key"],
        meter=body["meter"],
        beneficiary=body["beneficiary"],
        unit=body["unit"],
        unit_price=body["unit_price"],
        hold_days=int(body["hold_days"]),
        payable=body["payable"],
        created_at=utc_time(body["created_at"]),
        percentage=body["percentage"],
        archived_at=_time(body, "archived_at"),
    )


def _time(body: Mapping[str, Any], name: str) -> datetime | None:
    return utc_time(body[name]) if body.get(name) else None
