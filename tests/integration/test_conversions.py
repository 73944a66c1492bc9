"""Free for ever, asked once, and billed only from a confirmed payment method on."""

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from functions import _conversions, react, reconcile_customer
from local.emulator import Aws
from shared.domain.errors import UnavailableError
from shared.services.billing_run import due_token
from tests.integration.api import NOON, Api, per_unit
from tests.integration.conftest import Tables
from tests.integration.test_journal import account_records
from tests.support.stack import Stack

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
CARD = {"provider": "stripe", "reference": "pm_1ABC"}
CONFIRM = {"action": "confirm", "payment_method": CARD}
MONTHLY = {"currency": "USD", "interval": "month", "period": "calendar"}


@dataclass
class Free:
    """A system whose default plan is free, and its accounts' stream."""

    api: Api
    accounts: Stack

    def customer(self, **plan: object) -> str:
        """The path of a new customer of the month's beginning.

        One with a plan of its own also has what the default plan gave it for the month.
        """
        self.api.clock.at = datetime(2026, 3, 1, tzinfo=UTC)
        path = self.api.new_customer()
        if plan:
            key = f"free-{path.rpartition('-')[2]}"
            self.api.put(f"/v1/plans/{key}", {**FREE, "default": False, **plan})
            self.api.post(f"{path}/subscription", {"action": "change", "plan": key}, "plan")
        self.api.clock.at = NOON
        return path

    def use(self, path: str, *, at: datetime | None = None, **data: str | int) -> None:
        """Some usage: tokens of a model, or calls that cost credits."""
        kind = "ai.call" if "calls" in data else "ai.completion"
        self.api.use(_key(path), kind, at or self.api.clock.at - MINUTE, **data)

    def records(self, path: str) -> list[dict[str, Any]]:
        return account_records(self.accounts, _key(path))

    def react(self, path: str) -> None:
        """Delivers every version of the customer's account."""
        assert react.handler({"Records": self.records(path)}, None) == {"batchItemFailures": []}

    def conversion(self, path: str) -> Any:
        return self.api.get(f"{path}/conversion")["conversion"]

    def confirm(self, path: str, key: str = "confirm") -> Any:
        return self.api.post(f"{path}/conversion", CONFIRM, key)

    def close(self, path: str, boundary: datetime) -> None:
        """Has the period that ended at the boundary billed."""
        self.api.clock.at = boundary + 2 * HOUR
        self.api.runtime.barriers.mark_passed(_key(path), due_token(boundary + HOUR))
        self.api.runtime.billing_run.bill(_key(path), self.api.clock.at)

    def invoices(self, path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.api.get(f"{path}/invoices")["data"]
        return found


FREE = {
    **MONTHLY,
    "name": "Free",
    "default": True,
    "on_exhausted": "block",
    "allowances": [{"meter": "tokens", "quantity": "1000"}],
    "credits": [{"unit": "sparks", "amount": "10"}],
    "rates": [{"meter": "calls", "price": per_unit("1"), "unit": "sparks"}],
    "converts_to": {
        "plan": "pro",
        "when": {
            "allowance_used_up": {"meter": "tokens", "grace": "100"},
            "credits_below": {"unit": "sparks", "amount": "3", "grace": "2"},
        },
    },
}


@pytest.fixture(scope="module")
def system(aws: Aws, tables: Tables) -> Iterator[Free]:
    api = Api(aws, tables)
    tokens = {"event_type": "ai.completion", "aggregation": "sum", "value": "tokens"}
    api.put("/v1/meters/tokens", tokens)
    api.put("/v1/meters/calls", {"event_type": "ai.call", "aggregation": "sum", "value": "calls"})
    value = {"effective_at": "2020-01-01T00:00:00Z", "currency": "USD", "value": "0.50"}
    api.put("/v1/credit-units/sparks", {"name": "Sparks", "decimals": 2, "values": [value]})
    rates = [{"meter": "tokens", "price": per_unit("0.01")}]
    rates.append({"meter": "calls", "price": per_unit("0.10")})
    api.put("/v1/plans/pro", {**MONTHLY, "name": "Pro", "fee": "31.00", "rates": rates})
    api.put("/v1/plans/free", FREE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(react, "runtime", lambda: api.runtime)
        yield Free(api, Stack(aws, tables.events_table, tables.billing_table))


def test_a_used_up_allowance_asks_once_and_bills_nothing(system: Free) -> None:
    customer = system.customer()
    assert system.api.get(f"{customer}/conversion") == {
        "customer": _key(customer),
        "plan": "free",
        "converts_to": "pro",
        "conversion": None,
    }
    system.use(customer, tokens=999)
    system.react(customer)
    assert system.conversion(customer) is None
    system.use(customer, tokens=1)
    system.use(customer, tokens=50)
    system.react(customer)
    asked = system.conversion(customer)
    assert asked == {
        "status": "asked",
        "cause": "allowance_used_up",
        "plan": "free",
        "plan_version": 1,
        "converts_to": "pro",
        "account_version": asked["account_version"],
        "asked_at": "2026-03-10T12:00:00Z",
        "expires_at": "2026-04-09T12:00:00Z",
        "ended_at": None,
        "payment_method": None,
    }
    system.api.clock.at += HOUR
    system.react(customer)
    system.react(customer)
    assert system.conversion(customer) == asked
    system.close(customer, APRIL)
    assert system.invoices(customer) == []


def test_every_version_lost_but_the_last_still_asks(system: Free) -> None:
    customer = system.customer()
    for _ in range(4):
        system.use(customer, tokens=400)
    [*_, last] = system.records(customer)
    react.handler({"Records": [last]}, None)
    assert system.conversion(customer)["cause"] == "allowance_used_up"


def test_what_no_version_told_is_asked_with_the_days_reconciliation(
    system: Free, monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = system.customer()
    system.use(customer, tokens=1000)
    clean = SimpleNamespace(finished=True, findings=(), busy=())
    reconciler = SimpleNamespace(reconcile=lambda *_: clean)
    running = SimpleNamespace(
        reconciler=reconciler, store=system.api.runtime.store, books=system.api.runtime.books
    )
    monkeypatch.setattr(reconcile_customer, "runtime", lambda: running)
    monkeypatch.setattr(reconcile_customer, "report", lambda _: None)
    order = json.dumps({"customer": _key(customer), "as_of": "2026-03-10T12:00:00Z"})
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 900_000)
    event = {"Records": [{"messageId": "1", "body": order}]}
    assert reconcile_customer.handler(event, context) == {"batchItemFailures": []}
    account = system.api.runtime.store.account(_key(customer))
    assert account is not None
    assert system.conversion(customer)["account_version"] == account.version


def test_grace_is_a_quantity_after_which_the_quota_blocks(system: Free) -> None:
    customer = system.customer()

    def allowed(meter: str) -> tuple[bool, str | None]:
        found = system.api.get(f"{customer}/entitlements/{meter}")
        return found["allowed"], found["reason"]

    system.use(customer, tokens=1000)
    system.use(customer, tokens=99)
    assert allowed("tokens") == (True, None)
    system.use(customer, tokens=1)
    assert allowed("tokens") == (False, "allowance-used-up")
    system.use(customer, calls=11)
    assert allowed("calls") == (True, None)
    system.use(customer, calls=1)
    assert allowed("calls") == (False, "credits-used-up")


def test_a_confirmed_method_bills_from_that_moment_on(system: Free) -> None:
    customer = system.customer()
    system.use(customer, tokens=1100)
    system.use(customer, calls=12)
    system.react(customer)
    after = system.confirm(customer)
    assert (after["plan"], after["converts_to"]) == ("pro", None)
    assert after["conversion"]["status"] == "confirmed"
    assert after["conversion"]["payment_method"] == CARD
    assert after["conversion"]["ended_at"] == "2026-03-10T12:00:00Z"
    assert after == system.api.get(f"{customer}/conversion")
    [first] = system.invoices(customer)
    assert (first["kind"], first["total"]) == ("change", "21.50")
    assert first["lines"][0]["service_period"]["start"] == "2026-03-10T12:00:00Z"
    system.api.clock.at += HOUR
    system.use(customer, tokens=5)
    system.use(customer, at=NOON - HOUR, tokens=7)  # late, and of the free phase
    system.close(customer, APRIL)
    [newest, _] = system.invoices(customer)
    usage = [line for line in newest["lines"] if line["type"] == "usage"]
    assert [(x["plan"], x["quantity"], x["amount"]) for x in usage] == [
        ("free", "12", "0.00"),
        ("free", "1107", "0.00"),
        ("pro", "5", "0.05"),
    ]
    assert newest["total"] == "31.05"
    system.use(customer, at=NOON - HOUR, tokens=1000)  # after its period closed
    system.use(customer, at=NOON - HOUR, calls=50)
    system.close(customer, MAY)
    assert system.invoices(customer)[0]["total"] == "31.00"


@pytest.mark.parametrize("seed", range(6))
def test_nothing_from_before_is_ever_billed(system: Free, seed: int) -> None:
    """Whatever was used, however late it comes, and whenever the customer confirms."""
    rng = random.Random(seed)
    customer = system.customer()
    confirmed_at = NOON + timedelta(hours=rng.randrange(400))
    for _ in range(rng.randrange(1, 8)):
        used = {rng.choice(("tokens", "calls")): rng.randrange(1, 900)}
        system.use(customer, at=NOON - timedelta(minutes=rng.randrange(1, 9000)), **used)
    system.api.post(f"{customer}/conversion", {"action": "start"}, "start")
    system.api.clock.at = confirmed_at
    system.confirm(customer)
    paid = 0
    for boundary in (APRIL, MAY):
        for _ in range(rng.randrange(1, 8)):
            before = rng.random() < 0.7
            tokens = rng.randrange(1, 900)
            at = confirmed_at - timedelta(minutes=rng.randrange(1, 9000))
            system.api.clock.at = max(system.api.clock.at, confirmed_at + HOUR)
            system.use(customer, at=at if before else confirmed_at + MINUTE, tokens=tokens)
            paid += 0 if before else tokens
        system.close(customer, boundary)
    lines = [line for each in system.invoices(customer) for line in each["lines"]]
    free = [Decimal(line["amount"]) for line in lines if line["plan"] == "free"]
    usage = [Decimal(line["amount"]) for line in lines if line["type"] == "usage"]
    assert any(line["plan"] == "free" for line in lines)
    assert set(free) == {Decimal(0)}
    left = system.api.get(f"{customer}/invoices/upcoming")["lines"]
    usage += [Decimal(line["amount"]) for line in left if line["type"] == "usage"]
    assert sum(usage) <= Decimal(paid) / 100


def test_credits_of_later_do_not_pay_for_what_was_free(system: Free) -> None:
    customer = system.customer()
    system.use(customer, calls=15)
    system.react(customer)
    system.confirm(customer)
    grant = {"unit": "sparks", "amount": "8", "effective_at": "2026-03-01T00:00:00Z"}
    system.api.post(f"{customer}/grants", {**grant, "source": "purchase"}, "grant")
    assert system.api.get(f"{customer}/balance", query="unit=sparks")["settled"] == "8"


def test_confirming_happens_once(system: Free) -> None:
    customer = system.customer()
    system.use(customer, tokens=1000)
    system.react(customer)
    first = system.confirm(customer, "k1")
    system.api.clock.at += HOUR
    assert system.confirm(customer, "k1") == first
    other = {**CONFIRM, "payment_method": {**CARD, "reference": "pm_2"}}
    assert system.api.post(f"{customer}/conversion", other, "k2") == first
    reused = system.api.call("POST", f"{customer}/conversion", other, key="k1")
    assert (reused.status, reused.json["code"]) == (409, "idempotency-key-reused")
    assert len(system.invoices(customer)) == 1
    system.react(customer)
    assert system.conversion(customer) == first["conversion"]


def test_back_on_the_free_plan_a_customer_is_asked_anew(system: Free) -> None:
    customer = system.customer()
    system.use(customer, tokens=1000)
    system.react(customer)
    old = system.records(customer)
    system.confirm(customer)
    cancel = {"action": "cancel", "at": "now"}
    system.api.clock.at += HOUR
    system.api.post(f"{customer}/subscription", cancel, "cancel")
    react.handler({"Records": old}, None)
    assert system.conversion(customer)["status"] == "confirmed"
    refused = system.api.call("POST", f"{customer}/conversion", CONFIRM, key="again")
    assert (refused.status, refused.json["code"]) == (409, "conversion-not-open")
    system.use(customer, at=system.api.clock.at, tokens=5000)
    system.react(customer)
    assert system.conversion(customer)["status"] == "asked"


def test_declined_leaves_everything_as_it_was(system: Free) -> None:
    customer = system.customer()
    system.use(customer, tokens=1000)
    system.react(customer)
    before = system.api.get(f"{customer}/subscription")
    declined = system.api.post(f"{customer}/conversion", {"action": "decline"}, "no")
    assert declined["conversion"]["status"] == "declined"
    again = system.api.post(f"{customer}/conversion", {"action": "decline"}, "no-2")
    assert again == declined
    system.react(customer)
    assert system.conversion(customer)["status"] == "declined"
    assert system.api.get(f"{customer}/subscription") == before
    refused = system.api.call("POST", f"{customer}/conversion", CONFIRM, key="late")
    assert (refused.status, refused.json["code"]) == (409, "conversion-not-open")
    started = system.api.post(f"{customer}/conversion", {"action": "start"}, "mind")
    assert (started["conversion"]["status"], started["conversion"]["cause"]) == ("asked", "choice")
    assert system.confirm(customer)["plan"] == "pro"


def test_abandoned_it_expires_and_asks_again_only_as_configured(system: Free) -> None:
    rule = {"plan": "pro", "when": {"allowance_used_up": {"meter": "tokens"}}, "open_days": 5}
    once = system.customer(converts_to=rule)
    each = system.customer(converts_to={**rule, "asks": "every_period"})
    for customer in (once, each):
        system.api.clock.at = NOON
        system.use(customer, tokens=2000)
        system.react(customer)
    system.api.clock.at += timedelta(days=5)
    for customer in (once, each):
        assert system.conversion(customer)["status"] == "expired"
        system.use(customer, tokens=1)
        system.react(customer)
        assert system.conversion(customer)["status"] == "expired"
        refused = system.api.call("POST", f"{customer}/conversion", CONFIRM, key="late")
        assert (refused.status, refused.json["code"]) == (409, "conversion-not-open")
    system.api.clock.at = APRIL + HOUR
    for customer in (once, each):
        system.use(customer, tokens=1000)
        system.react(customer)
    assert system.conversion(once)["status"] == "expired"
    assert system.conversion(each)["status"] == "asked"


@pytest.mark.parametrize(
    ("when", "calls", "cause"),
    [
        ({"credits_below": {"unit": "sparks", "amount": "3"}}, (17, 1), "credits_below"),
        ({"credits_below": {"unit": "sparks"}}, (19, 1), "credits_below"),
        ({"spend_over": {"unit": "sparks", "amount": "4"}}, (4, 1), "spend_over"),
        ({"spend_over": {"unit": "USD", "amount": "2.00"}}, (4, 1), "spend_over"),
    ],
)
def test_rules_about_credits_and_spend(
    system: Free, when: Mapping[str, object], calls: tuple[int, int], cause: str
) -> None:
    customer = system.customer(converts_to={"plan": "pro", "when": when})
    system.use(customer, calls=calls[0])
    system.react(customer)
    assert system.conversion(customer) is None
    system.use(customer, calls=calls[1])
    system.react(customer)
    assert system.conversion(customer)["cause"] == cause


def test_one_who_left_the_plan_has_nothing_to_confirm(system: Free) -> None:
    customer = system.customer()
    system.use(customer, tokens=1000)
    system.react(customer)
    order = {"action": "change", "plan": "pro", "at": "now"}
    system.api.post(f"{customer}/subscription", order, "by-hand")
    assert system.conversion(customer)["status"] == "superseded"
    for body, code in ((CONFIRM, "conversion-not-open"), ({"action": "start"}, "not-convertible")):
        refused = system.api.call("POST", f"{customer}/conversion", body, key=code)
        assert (refused.status, refused.json["code"]) == (409, code)


def test_a_failure_does_not_hold_up_the_journal_and_is_counted(
    system: Free, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    customer = system.customer()
    system.use(customer, tokens=1000)

    def fail(*_: object) -> bool:
        raise UnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(_conversions, "ask", fail)
        system.react(customer)
    assert '"ConversionsNotRecorded": 1' in capsys.readouterr().out
    account = system.api.runtime.store.account(_key(customer))
    newest = system.api.runtime.store.ledger(_key(customer), 1, None, newest_first=True)
    assert account is not None
    assert newest.items[0].to_version == account.version
    assert system.conversion(customer) is None
    system.react(customer)
    assert system.conversion(customer)["status"] == "asked"


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, ("/action", "required")),
        ({"action": "pay"}, ("/action", "literal-error")),
        ({"action": "confirm"}, ("/payment_method", "required")),
        ({"action": "start", "payment_method": CARD}, ("/payment_method", "not-for-start")),
        ({"action": "decline", "payment_method": CARD}, ("/payment_method", "not-for-decline")),
        (
            {**CONFIRM, "payment_method": {**CARD, "reference": "4242 4242 4242 4242"}},
            ("/payment_method/reference", "card-number"),
        ),
        (
            {**CONFIRM, "payment_method": {**CARD, "cvc": "123"}},
            ("/payment_method/cvc", "unknown-member"),
        ),
        (
            {**CONFIRM, "payment_method": {"provider": "Stripe!", "reference": "x"}},
            ("/payment_method/provider", "string-pattern-mismatch"),
        ),
        ({**CONFIRM, "plan": "max"}, ("/plan", "unknown-member")),
    ],
)
def test_bad_requests_change_nothing(
    system: Free, body: Mapping[str, object], problem: tuple[str, str]
) -> None:
    customer = system.customer()
    refused = system.api.call("POST", f"{customer}/conversion", body, key="k")
    assert refused.status == 422
    assert problem in {(p["pointer"], p["code"]) for p in refused.json["errors"]}
    assert "4242" not in refused.text
    assert system.conversion(customer) is None


def test_only_an_admin_key_confirms_and_a_portal_reads_its_own(system: Free) -> None:
    customer = system.customer()
    system.use(customer, tokens=1000)
    system.react(customer)
    portal = {"scopes": "portal", "customer": _key(customer)}
    refused = system.api.call("POST", f"{customer}/conversion", CONFIRM, key="k", **portal)
    assert (refused.status, refused.json["code"]) == (403, "forbidden")
    for scope in ("read", "ingest"):
        refused = system.api.call("POST", f"{customer}/conversion", CONFIRM, key="k", scopes=scope)
        assert refused.status == 403
    assert system.api.call("POST", f"{customer}/conversion", CONFIRM).status == 400
    seen = system.api.call("GET", f"{customer}/conversion", **portal)
    assert seen.json["conversion"]["status"] == "asked"
    other = {**portal, "customer": "someone-else"}
    assert system.api.call("GET", f"{customer}/conversion", **other).status == 404
    unknown = system.api.call("POST", "/v1/customers/nobody/conversion", CONFIRM, key="k")
    assert unknown.status == 404


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fee": "5.00"}, ("/converts_to", "plan-bills")),
        ({"on_exhausted": "bill"}, ("/converts_to", "plan-bills")),
        ({"trial_days": 7}, ("/trial_days", "trial-of-free-plan")),
        ({"converts_to": {"plan": "none"}}, ("/converts_to/plan", "unknown-plan")),
        ({"converts_to": {"plan": "gift"}}, ("/converts_to/plan", "plan-does-not-bill")),
        ({"converts_to": {"plan": "euro"}}, ("/converts_to/plan", "other-currency")),
        ({"converts_to": {"plan": "own"}}, ("/converts_to/plan", "same-plan")),
        ({"converts_to": {"plan": "pro", "when": {}}}, ("/converts_to/when", "no-rule")),
        (
            {"converts_to": {"plan": "pro", "open_days": 0}},
            ("/converts_to/open_days", "greater-than-equal"),
        ),
        (
            {"converts_to": {"plan": "pro", "when": {"allowance_used_up": {"meter": "calls"}}}},
            ("/converts_to/when/allowance_used_up/meter", "no-allowance"),
        ),
        (
            {"converts_to": {"plan": "pro", "when": {"credits_below": {"unit": "EUR"}}}},
            ("/converts_to/when/credits_below/unit", "unit-not-in-plan"),
        ),
        (
            {
                "converts_to": {
                    "plan": "pro",
                    "when": {"spend_over": {"unit": "gems", "amount": "1"}},
                }
            },
            ("/converts_to/when/spend_over/unit", "unit-not-in-plan"),
        ),
    ],
)
def test_a_plan_that_cannot_convert_is_not_published(
    system: Free, changes: Mapping[str, object], problem: tuple[str, str]
) -> None:
    system.api.put("/v1/plans/gift", {**MONTHLY, "name": "Gift"})
    system.api.put("/v1/plans/euro", {**MONTHLY, "currency": "EUR", "name": "E", "fee": "1.00"})
    body = {**FREE, "default": False, **changes}
    refused = system.api.call("PUT", "/v1/plans/own", body)
    assert refused.status == 422
    assert problem in {(p["pointer"], p["code"]) for p in refused.json["errors"]}
    assert system.api.call("GET", "/v1/plans/own").status == 404


def test_a_plan_comes_back_as_it_was_published(system: Free) -> None:
    plan = system.api.get("/v1/plans/free")
    assert plan["converts_to"]["asks"] == "once"
    assert plan["converts_to"]["when"]["credits_below"] == {
        "unit": "sparks",
        "amount": "3",
        "grace": "2",
    }
    assert system.api.put("/v1/plans/free", FREE)["version"] == plan["version"]


def _key(path: str) -> str:
    return path.rpartition("/")[2]


def test_no_pack_is_sold_in_another_currency_than_the_plan_that_is_scheduled(system: Free) -> None:
    """Nothing billed a free customer yet, so the plan to come and the pack settle its currency."""
    api, ordered, other = system.api, system.customer(), system.customer()
    pack = {"name": "Pack", "currency": "EUR", "price": "5", "expires": "never"}
    holds = {"credits": [{"unit": "sparks", "amount": "10"}]}
    api.put("/v1/add-ons/euro-pack", {**pack, **holds})
    buy, later = {"add_on": "euro-pack"}, {"action": "change", "plan": "pro", "at": "period_end"}
    assert api.call("POST", f"{other}/add-ons", buy, key="k1").status == 201
    api.post(f"{ordered}/subscription", later, "k1")
    refused = api.call("POST", f"{ordered}/add-ons", buy, key="k2")
    assert (refused.status, "is scheduled" in refused.json["detail"]) == (409, True)
    assert api.get(f"{ordered}/invoices")["data"] == []
    # Once that is taken back, what is paid for first settles the currency.
    api.post(f"{ordered}/subscription", {"action": "resume"}, "k3")
    assert api.call("POST", f"{ordered}/add-ons", buy, key="k2").status == 201
    assert api.call("POST", f"{ordered}/subscription", later, key="k4").status == 409
