"""What may be published of reward and earning rules, and what that changes."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from shared.domain.catalogue import Catalogue
from shared.domain.earning_rules import EarningRule
from shared.domain.errors import ConflictError, InvalidError, NotFoundError, Problem
from shared.domain.money import is_currency, money_problem, to_nanos
from shared.domain.publishing import Publication
from shared.domain.reward_rules import MAX_BACK, RewardRule
from shared.domain.usage_windows import on_quarter

# Of other aggregations, what parts of the usage come to does not add up to what the whole does.
COUNTED_AGGREGATIONS = ("count", "sum")
# Each usage of a meter is counted under each of its rules.
MAX_RULES_OF_A_METER = 10

Rule = TypeVar("Rule", RewardRule, EarningRule)


class RuleImmutableError(ConflictError):
    """What a rule gives never changes: archive it and make another."""

    code = "rule-immutable"


def publish_reward_rule(catalogue: Catalogue, rule: RewardRule) -> Publication | None:
    """Adds a reward rule, made at its `created_at`; None: it is there already.

    Raises: RuleImmutableError; InvalidError with pointers into the rule.
    """
    problems = [*_unit_problems(catalogue, rule.unit, {"/amount": rule.nanos, **_cap(rule)})]
    dimensions = {f"/where/{name}": name for name in rule.where}
    problems += _meter_problems(catalogue, rule.meter, dimensions)
    if rule.starts_at is not None:
        if not on_quarter(rule.starts_at):
            problems.append(Problem("/starts_at", "not-on-quarter-hour"))
        elif rule.starts_at < rule.created_at - MAX_BACK:
            problems.append(Problem("/starts_at", "too-far-back"))
    return _published("reward-rule", catalogue.reward_rules, rule, problems)


def publish_earning_rule(catalogue: Catalogue, rule: EarningRule) -> Publication | None:
    """Adds an earning rule, made at its `created_at`; None: it is there already.

    Raises: RuleImmutableError; InvalidError with pointers into the rule.
    """
    problems = [*_unit_problems(catalogue, rule.unit, {})]
    if code := money_problem(rule.unit, to_nanos(rule.unit_price)):
        problems.append(Problem("/share/unit_price", code))
    problems += _meter_problems(catalogue, rule.meter, {"/beneficiary": rule.beneficiary})
    if rule.payable == "transfer" and not is_currency(rule.unit):
        problems.append(Problem("/unit", "not-a-currency"))
    return _published("earning-rule", catalogue.earning_rules, rule, problems)


def archive_reward_rule(catalogue: Catalogue, key: str, now: datetime) -> Publication | None:
    """Ends a rule; None: it has ended before. Raises: NotFoundError."""
    return _archived("reward-rule", catalogue.reward_rules, key, now)


def archive_earning_rule(catalogue: Catalogue, key: str, now: datetime) -> Publication | None:
    """Ends a rule; None: it has ended before. Raises: NotFoundError."""
    return _archived("earning-rule", catalogue.earning_rules, key, now)


def _published(
    noun: str, stored: Mapping[str, Rule], rule: Rule, problems: list[Problem]
) -> Publication | None:
    existing = stored.get(rule.key)
    if existing is not None:
        created_at, archived_at = existing.created_at, existing.archived_at
        if replace(rule, created_at=created_at, archived_at=archived_at) != existing:
            raise RuleImmutableError(f"{noun} {rule.key} exists with another content")
        return None
    live = [r for r in stored.values() if r.meter == rule.meter and r.archived_at is None]
    if len(live) >= MAX_RULES_OF_A_METER:
        problems = [*problems, Problem("/meter", "too-many-rules")]
    if problems:
        raise InvalidError("The rule does not fit the catalogue.", problems)
    return Publication(f"{noun}.create", None, rule)


def _archived(noun: str, stored: Mapping[str, Rule], key: str, now: datetime) -> Publication | None:
    rule = stored.get(key)
    if rule is None:
        raise NotFoundError(f"no {noun} {key}")
    if rule.archived_at is not None:
        return None
    return Publication(f"{noun}.archive", rule, replace(rule, archived_at=now))


def _cap(rule: RewardRule) -> dict[str, int]:
    return {"/cap/amount": rule.cap.nanos} if rule.cap else {}


def _meter_problems(
    catalogue: Catalogue, key: str, dimensions: Mapping[str, str]
) -> Iterator[Problem]:
    meter = catalogue.meters.get(key)
    if meter is None:
        yield Problem("/meter", "unknown-meter")
        return
    if meter.archived_since is not None:
        yield Problem("/meter", "archived-meter")
    if meter.aggregation not in COUNTED_AGGREGATIONS:
        yield Problem("/meter", "unsupported")
    for pointer, name in dimensions.items():
        if name not in meter.dimensions:
            yield Problem(pointer, "unknown-dimension")


def _unit_problems(catalogue: Catalogue, key: str, amounts: Mapping[str, int]) -> Iterator[Problem]:
    """Whether the unit is there, and the amounts, in nanos, have no more decimals than it has."""
    if key not in catalogue.units and not is_currency(key):
        yield Problem("/unit", "unknown-unit")
        return
    for pointer, nanos in amounts.items():
        if code := catalogue.amount_problem(key, nanos):
            yield Problem(pointer, code)
