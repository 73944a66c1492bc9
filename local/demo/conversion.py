"""A customer uses the free plan up, is asked to pay, and does: it is billed from that moment on."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any

from cli.client import path
from local.demo.arithmetic import CENT, ZERO, price_of, rounded
from local.demo.drive import Driver
from local.demo.scenario import GRACE, Event

FREE_MESSAGES = 120
PAID_MESSAGES = 5
TRIES_AFTER = timedelta(days=10, hours=7)
ASKED_WITHIN_SECONDS = 60
METHOD = {"provider": "demo", "reference": "pm_demo"}


@dataclass(frozen=True, slots=True)
class Converted:
    """What was asked, what was billed (the oldest invoice first), and what of it is not right."""

    asked: Mapping[str, Any]
    invoices: tuple[Mapping[str, Any], ...]
    differences: tuple[str, ...]


def convert(driver: Driver, customer: str, month: datetime, plan: Mapping[str, Any]) -> Converted:
    """Plays it on a clock of its own, to the month's invoice. `plan` is the paid one."""
    place = path("/v1/customers/{key}", key=customer)
    confirmed_at = month + TRIES_AFTER
    end = (month + timedelta(days=32)).replace(day=1)
    clock = driver.create_clock(month)
    driver.admin.call("PUT", place, body={"name": "Quill Notes", "test_clock": clock})
    driver.advance(clock, confirmed_at)
    _use(driver, customer, "free", confirmed_at - timedelta(hours=1), FREE_MESSAGES)
    driver.advance(clock, confirmed_at)
    asked = _asked(driver, place)
    if asked is None:
        return Converted({}, (), ("conversion: the customer was not asked to pay",))
    order = {"action": "confirm", "payment_method": METHOD}
    headers = {"Idempotency-Key": "confirm"}
    driver.admin.call("POST", f"{place}/conversion", body=order, headers=headers)
    driver.advance(clock, confirmed_at + timedelta(hours=1))
    _use(driver, customer, "paid", confirmed_at + timedelta(minutes=1), PAID_MESSAGES)
    driver.advance(clock, end + GRACE)
    invoices = tuple(reversed(list(driver.admin.pages(f"{place}/invoices"))))
    share = Fraction(int((end - confirmed_at).total_seconds()), int((end - month).total_seconds()))
    differences = tuple(_differences(invoices, plan, share))
    return Converted(asked, invoices, differences)


def _use(driver: Driver, customer: str, name: str, start: datetime, count: int) -> None:
    moments = (start + timedelta(seconds=n) for n in range(count))
    events = (
        Event(customer, f"{name}-{n}", "chat.message", at, {"channel": "web"})
        for n, at in enumerate(moments)
    )
    body = f"[{','.join(event.json() for event in events)}]"
    driver.ingest.call("POST", "/v1/events", body=body.encode())


def _asked(driver: Driver, place: str) -> Mapping[str, Any] | None:
    """What the customer is asked, a moment after its account met the rule."""
    deadline = time.monotonic() + ASKED_WITHIN_SECONDS
    while time.monotonic() < deadline:
        found: Mapping[str, Any] | None
        found = driver.admin.call("GET", f"{place}/conversion")["conversion"]
        if found is not None:
            return found
        time.sleep(0.5)
    return None


def _differences(
    invoices: Iterable[Mapping[str, Any]], plan: Mapping[str, Any], share: Fraction
) -> Iterable[str]:
    """The fee of the rest of the month, then that of the next one; what was free at zero.

    Some of the plan's prices cost something without any usage.
    """
    unused = [price_of(rate["price"], ZERO) for rate in plan["rates"]]
    fee = Fraction(plan["fee"])
    totals = [(invoice["kind"], Fraction(invoice["total"])) for invoice in invoices]
    expected = [("change", rounded(fee * share, CENT)), ("period", fee + sum(unused))]
    if totals != expected:
        yield f"conversion: expected invoices {expected}, got {totals}"
    lines = [line for invoice in invoices for line in invoice["lines"] if line["type"] == "usage"]
    used = {(line["plan"], Fraction(line["quantity"]), Fraction(line["amount"])) for line in lines}
    free = {("free", Fraction(FREE_MESSAGES), ZERO), ("pro", Fraction(PAID_MESSAGES), ZERO)}
    if used != free | {("pro", ZERO, amount) for amount in unused if amount}:
        yield f"conversion: expected free usage at zero, got {sorted(used)}"


def told(converted: Converted, customer: str) -> str:
    """It in a few lines."""
    if converted.differences:
        return f"\nConversion of {customer}: not as it must be"
    first, month = converted.invoices
    asked = converted.asked
    return (
        f"\nConversion of {customer}: asked on {asked['asked_at']} ({asked['cause']})\n"
        f"  {FREE_MESSAGES} messages before it: 0.00 USD, for ever\n"
        f"  payment method confirmed: {first['total']} USD for the rest of the month\n"
        f"  the month's invoice: {month['total']} USD"
    )
