"""Events and catalogues for tests, as small as a test can say them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from shared.domain.catalogue import (
    Allowance,
    Catalogue,
    CreditUnit,
    IncludedCredits,
    Meter,
    Plan,
    Rate,
    UnitValue,
)
from shared.domain.events import UsageEvent, Value
from shared.domain.money import NANOS_PER_UNIT
from shared.domain.prices import Graduated, PerUnit, Tier

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

MESSAGES = Meter("messages", "chat", "count")
TOKENS = Meter("tokens", "chat", "sum", "tokens", ("model",))
STORAGE = Meter("storage", "disk", "sum", "gb")
VISITORS = Meter("visitors", "visit", "unique_count", "who")
PEAK = Meter("peak", "visit", "max", "load")
SPARKS = CreditUnit(
    "sparks", "Sparks", 2, (UnitValue(datetime(2020, 1, 1, tzinfo=UTC), "USD", Decimal("0.05")),)
)
TOKEN_TIERS = Graduated(
    (Tier(Decimal(100), Decimal("0.01"), Decimal(1)), Tier(None, Decimal("0.002"), Decimal("0.5")))
)


def units(amount: str | int) -> int:
    """Nanos of a decimal amount of major units."""
    return int(Decimal(amount) * NANOS_PER_UNIT)


def a_plan(**changes: object) -> Plan:
    """The default plan of tests: an allowance, credits that roll over, and four rate cards."""
    terms: dict[str, object] = {
        "key": "basic",
        "version": 1,
        "name": "Basic",
        "currency": "USD",
        "period": "calendar",
        "fee_nanos": units(20),
        "allowances": (Allowance("messages", Decimal(10)),),
        "credits": (IncludedCredits("sparks", units(50), rollover_max_nanos=units(20)),),
        "rates": (
            Rate("tokens", PerUnit(Decimal("0.03")), "sparks", {"model": "large"}),
            Rate("tokens", TOKEN_TIERS, "USD"),
            Rate("messages", PerUnit(Decimal("0.01")), "USD"),
            Rate("storage", PerUnit(Decimal("0.5")), "sparks"),
        ),
        "default": True,
    }
    return Plan(**{**terms, **changes})  # type: ignore[arg-type]


VISIT_RATES = (
    Rate("visitors", PerUnit(Decimal(2)), "USD"),
    Rate("peak", PerUnit(Decimal("0.1")), "USD"),
)


def a_plan_with_visits() -> Plan:
    """The default plan, which also rates distinct visitors and the peak of their load."""
    return a_plan(rates=(*a_plan().rates, *VISIT_RATES))


def visit(customer: str, number: int | str, at: datetime, who: str, load: int) -> UsageEvent:
    """A visit: who came, and how great the load was."""
    data: Mapping[str, Value] = {"who": who, "load": Decimal(load)}
    return usage(customer, number, at, data, type="visit")


def a_catalogue(*plans: Plan, version: int = 5) -> Catalogue:
    """A catalogue of three meters, one credit unit and the plans, every version of a key in one."""
    by_key: dict[str, tuple[Plan, ...]] = {}
    for plan in plans or (a_plan(),):
        by_key[plan.key] = (*by_key.get(plan.key, ()), plan)
    meters = {meter.key: meter for meter in (MESSAGES, TOKENS, STORAGE)}
    return Catalogue(version, meters, by_key, {"sparks": SPARKS})


def usage(
    customer: str,
    number: int | str,
    at: datetime,
    data: Mapping[str, Value] | None = None,
    *,
    type: str = "chat",
    catalogue_version: int = 5,
) -> UsageEvent:
    """An event, received a moment after it occurred; without data, 7 tokens of a small model."""
    default: Mapping[str, Value] = {"tokens": Decimal(7), "model": "small"}
    return UsageEvent(
        customer=customer,
        source="tests",
        id=str(number),
        type=type,
        occurred_at=at,
        received_at=at + timedelta(seconds=2),
        catalogue_version=catalogue_version,
        data=default if data is None else data,
        extensions={},
    )
