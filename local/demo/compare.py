"""Compares what the system answers with the tally; every difference is named."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from cli.client import Client, path
from local.demo.arithmetic import CENT, ZERO, rounded
from local.demo.scenario import time_text
from local.demo.tally import CREDIT, Account, ExpectedInvoice, Line, Tally

READERS = 8
Differences = list[str]
LineKey = tuple[str, str, str, bool]  # plan, meter, where, late


@dataclass(frozen=True, slots=True)
class Comparison:
    """Reads as an operator does and holds the answers against the tally."""

    client: Client
    tally: Tally
    usage_from: datetime
    usage_to: datetime
    _numbers_found: list[int] = field(default_factory=list)

    def month(self) -> Differences:
        """While the period is open: usage, balances, upcoming invoices."""
        return self._each(self._usage, self._balance, self._upcoming)

    def end(self) -> Differences:
        """After the period's close: the same, and what was issued, and the ledgers."""
        checks = (self._usage, self._balance, self._upcoming, self._issued, self._ledger)
        return [*self._each(*checks), *self._numbers()]

    def _each(self, *checks: Callable[[str, Account], Iterable[str]]) -> Differences:
        def run(item: tuple[str, Account]) -> Differences:
            return [f"{item[0]}: {text}" for check in checks for text in check(*item)]

        with ThreadPoolExecutor(READERS) as pool:
            return [text for found in pool.map(run, self.tally.accounts.items()) for text in found]

    def _usage(self, customer: str, account: Account) -> Iterable[str]:
        for meter, definition in account.catalogue["meters"].items():
            dimensions = definition.get("dimensions", [])
            query = {
                "meter": meter,
                "customer": customer,
                "from": time_text(self.usage_from),
                "to": time_text(self.usage_to),
                "window": "total",
                "group_by": ",".join(dimensions) or None,
            }
            rows = self.client.call("GET", "/v1/usage", query=query)["data"]
            actual = {(meter, r["group"].get("model", "")): Fraction(r["value"]) for r in rows}
            expected = {k: v for k, v in account.usage.items() if k[0] == meter}
            for key in sorted({*actual, *expected}):
                yield from _differs(
                    f"usage of {' '.join(key).strip()}", expected.get(key, ZERO), actual.get(key)
                )

    def _balance(self, customer: str, account: Account) -> Iterable[str]:
        where = path("/v1/customers/{customer}/balance", customer=customer)
        answer = self.client.call("GET", where, query={"unit": CREDIT})
        yield from _differs("balance", account.balance, answer["settled"])
        yield from _differs("available", account.balance, answer["available"])
        term = account.term
        yield from _differs("overage", term.owed - term.drawn, answer["overage"])
        grants = sum((Fraction(g["remaining"]) for g in answer["grants"]), ZERO)
        yield from _differs("balance of all grants", account.balance, grants)

    def _upcoming(self, customer: str, account: Account) -> Iterable[str]:
        where = path("/v1/customers/{customer}/invoices/upcoming", customer=customer)
        actual = self.client.call("GET", where)
        for text in invoice_differences(account.upcoming(), actual):
            yield f"upcoming invoice: {text}"

    def _issued(self, customer: str, account: Account) -> Iterable[str]:
        where = path("/v1/customers/{customer}/invoices", customer=customer)
        actual = sorted(self.client.pages(where), key=lambda invoice: invoice["number"])
        self._numbers_found.extend(int(i["number"].rsplit("-", 1)[1]) for i in actual)
        yield from _differs("number of invoices", len(account.invoices), len(actual))
        for expected, invoice in zip(account.invoices, actual, strict=False):
            if invoice["status"] != "finalized":
                yield f"invoice {invoice['number']} is {invoice['status']}"
            for text in invoice_differences(expected, invoice):
                yield f"invoice {invoice['number']}: {text}"

    def _ledger(self, customer: str, account: Account) -> Iterable[str]:
        where = path("/v1/customers/{customer}/ledger", customer=customer)
        version, balance, drawn = 0, ZERO, ZERO
        for entry in self.client.pages(where, {"limit": "1000"}):
            if entry["from_version"] != version:
                yield f"ledger: a gap between versions {version} and {entry['from_version']}"
            version = entry["version"]
            moved = credits_moved(entry)
            balance += moved
            drawn -= moved if entry["kind"] == "usage" else 0
        yield from _differs("ledger: what its changes add up to", account.balance, balance)
        yield from _differs("ledger: credits drawn by usage", account.credits_drawn, drawn)

    def _numbers(self) -> Iterable[str]:
        """All invoices of a clock are numbered without a gap."""
        numbers = sorted(self._numbers_found)
        if numbers != list(range(1, len(numbers) + 1)):
            yield f"invoice numbers have gaps or repeats: {numbers}"


def invoice_differences(expected: ExpectedInvoice, actual: Mapping[str, Any]) -> Iterable[str]:
    """Line by line; where several lines drew the same credits, all of them together."""
    if expected.kind != actual["kind"]:
        yield f"expected kind {expected.kind}, got {actual['kind']}"
    wanted = {(line.plan, line.meter, line.where, line.late): line for line in expected.lines}
    found = {_key(line): line for line in actual["lines"] if line["type"] in ("usage", "fee")}
    for key in sorted({*wanted, *found}):
        name = " ".join(str(part) for part in key if part and part is not True)
        name += " (late)" if key[3] else ""
        if key not in found or key not in wanted:
            yield f"line {name} is {'missing' if key in wanted else 'not expected'}"
        else:
            yield from (f"line {name}: {text}" for text in _line_differs(wanted[key], found[key]))
    yield from _credits_differ(expected, actual, found)
    total = sum((Fraction(line["amount"]) for line in actual["lines"]), ZERO)
    yield from _differs("total", total, actual["total"])


def _line_differs(expected: Line, actual: Mapping[str, Any]) -> Iterable[str]:
    yield from _differs("exact amount", expected.exact, actual["unit_amount"])
    yield from _differs("amount", expected.amount, actual["amount"])
    if expected.unit != actual["unit"]:
        yield f"expected unit {expected.unit}, got {actual['unit']}"
    if expected.meter:
        yield from _differs("events", expected.count, actual["events"]["count"])
        yield from _differs("quantity", expected.quantity, actual["quantity"])
        yield from _differs("included", expected.included, actual["included"])


def _credits_differ(
    expected: ExpectedInvoice, actual: Mapping[str, Any], usage: Mapping[LineKey, Mapping[str, Any]]
) -> Iterable[str]:
    """What credits paid and what they did not, in all and for each line of usage."""
    paid: dict[LineKey, Fraction] = {}
    drawn, overage = ZERO, ZERO
    for line in actual["lines"]:
        exact = Fraction(line["unit_amount"])
        if line["type"] == "credits_applied":
            drawn -= exact
            paid[_key(line)] = paid.get(_key(line), ZERO) - exact
        elif line["type"] == "overage":
            overage += exact
            paid[_key(line)] = paid.get(_key(line), ZERO) + exact
            value = rounded(exact * expected.overage_value, CENT)
            yield from _differs(f"{line['description']}, amount", value, line["amount"])
        elif line["type"] not in ("usage", "fee"):
            yield f"line {line['description']} is not expected"
    yield from _differs("credits applied", expected.drawn, drawn)
    yield from _differs("overage of credits", expected.overage, overage)
    for key, line in usage.items():
        if line["unit"] == CREDIT:
            yield from _differs(
                f"{line['description']}, credits and overage",
                Fraction(line["unit_amount"]),
                paid.get(key, ZERO),
            )


def _key(line: Mapping[str, Any]) -> LineKey:
    where = ", ".join(f"{name} {value}" for name, value in sorted(line.get("where", {}).items()))
    return line["plan"], line.get("meter") or "", where, line["late"]


def credits_moved(entry: Mapping[str, Any]) -> Fraction:
    """What a ledger entry changed in all grants of the credit unit together."""
    changes = (c for c in entry["changes"] if c["unit"] == CREDIT)
    return sum((Fraction(change["amount"]) for change in changes), ZERO)


def _differs(
    what: str, expected: Fraction | int, actual: Fraction | int | str | None
) -> Differences:
    if actual is not None and Fraction(actual) == expected:
        return []
    got = "nothing" if actual is None else decimal_text(Fraction(actual))
    return [f"{what}: expected {decimal_text(Fraction(expected))}, got {got}"]


def decimal_text(value: Fraction) -> str:
    """The fraction as a decimal; all here have at most 12 places."""
    scaled = rounded(value, Fraction(1, 10**12))
    sign = "-" if scaled < 0 else ""
    whole, part = divmod(abs(scaled), 1)
    places = f"{int(part * 10**12):012d}".rstrip("0")
    return f"{sign}{whole}.{places}" if places else f"{sign}{whole}"
