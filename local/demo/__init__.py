"""A month of an AI app in seconds, driven through the public API and checked to the last nano."""

import argparse
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from cli.client import Client
from local.demo import report
from local.demo.compare import Comparison
from local.demo.conversion import convert, told
from local.demo.drive import CONNECTIONS, Driver, sent
from local.demo.scenario import EVENTS, GRACE, Scenario, Stage, build
from local.demo.tally import Account, Tally
from local.home import REPOSITORY

CATALOGUE = REPOSITORY / "local" / "demo_catalogue.yaml"
PORTAL_SECONDS = 86_400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The demo's own options."""
    parser.add_argument("--seed", type=int, help="repeats a run's events; default: a new one")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"default: {EVENTS:,}")


def run(stack: Mapping[str, str], seed: int | None, events: int) -> int:
    """Plays the month and reports. Exit status 1 when the system and the tally disagree."""
    seed = random.SystemRandom().randrange(10**6) if seed is None else seed
    month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    scenario = build(seed, month, secrets.token_hex(3), events)
    catalogue = yaml.safe_load(CATALOGUE.read_text())
    total = sum(sent(stage.rounds) for stage in scenario.stages)
    print(
        f"\nDemo: {len(scenario.customers)} customers in {month:%B %Y}, {total:,} events over "
        f"{CONNECTIONS} connections. Seed {seed} (repeat with --seed {seed})."
    )
    play = Play(stack, scenario, catalogue)
    differences = play.run()
    newcomer = f"quill-notes-{secrets.token_hex(3)}"
    converted = convert(play.driver, newcomer, month, catalogue["plans"]["pro"])
    differences += converted.differences
    accepted = sum(len(stage.events) for stage in scenario.stages)
    report.show_events(play.driver.counts, accepted, total)
    report.show_usage(play.tally)
    report.show_money(play.tally)
    account = play.most_overdrawn()
    report.show_ledger(play.admin, account.customer.key)
    invoice = report.show_invoice(play.admin, account)
    session = {"customer": account.customer.key, "ttl_seconds": PORTAL_SECONDS}
    token = play.admin.call("POST", "/v1/portal/sessions", body=session)["token"]
    print(told(converted, newcomer))
    report.show_links(stack, token, invoice, account.customer.key)
    report.show_verdict(differences)
    return 1 if differences else 0


class Play:
    """The scenario on its way through the system, the tally keeping pace."""

    def __init__(
        self, stack: Mapping[str, str], scenario: Scenario, catalogue: Mapping[str, Any]
    ) -> None:
        self.scenario = scenario
        self.admin = Client(stack["url"], stack["admin_key"], CONNECTIONS)
        ingest = Client(stack["url"], stack["ingest_key"], CONNECTIONS)
        self.driver = Driver(self.admin, ingest)
        self.tally = Tally.of(scenario, catalogue)
        self._clock = ""
        self._differences: list[str] = []

    def run(self) -> list[str]:
        """Plays everything; what differs from the tally."""
        scenario, start = self.scenario, self.scenario.period_start
        self._clock = self.driver.create_clock(start)
        comparison = Comparison(
            self.admin, self.tally, start, scenario.period_end + timedelta(days=1)
        )
        for number, week in enumerate(scenario.weeks):
            joining = [c for c in scenario.customers if c.joins_stage == number]
            if joining:
                self._timed(f"{len(joining)} sign up", self.driver.sign_up, self._clock, joining)
            self._play(week)
        self._settle(scenario.weeks[-1].clock)
        self._check("the open month", comparison.month)

        next_end = (scenario.period_end + timedelta(days=32)).replace(day=1)
        for account in self._accounts():
            account.open_next(next_end)
        self._play(scenario.grace)
        closing = scenario.period_end + GRACE
        self._timed("the period is closed", self.driver.advance, self._clock, closing)
        for account in self._accounts():
            account.close()
        self._play(scenario.next_period)
        self._play(scenario.late)
        self._check_conflict()
        self._settle(scenario.late.clock + timedelta(minutes=1))
        self._check("the closed month", comparison.end)
        return self._differences

    def most_overdrawn(self) -> Account:
        """The customer with the most to look at: credits bought, drawn and overdrawn."""
        billed = [account for account in self._accounts() if account.invoices]
        return max(billed, key=lambda a: (bool(a.customer.purchase), a.invoices[-1].overage))

    def _accounts(self) -> list[Account]:
        return list(self.tally.accounts.values())

    def _play(self, stage: Stage) -> None:
        """Moves the clock, then sends what the stage holds."""
        self._settle(stage.clock)
        started = time.monotonic()
        counts = self.driver.send(stage)
        self.tally.use(stage.events)
        seconds = time.monotonic() - started
        _progress(
            f"{stage.name}, {stage.clock:%d %b %H:%M}",
            f"{counts['accepted']:>6,} accepted {counts['duplicates']:>4} duplicates",
            seconds,
        )
        if sum(counts.values()) != sent(stage.rounds):
            self._differences.append(
                f"{stage.name}: {sent(stage.rounds)} events sent, but the answers say {counts}"
            )

    def _settle(self, until: datetime) -> None:
        """Moves the clock, which returns when everything sent before is applied."""
        self._timed(f"clock to {until:%d %b %H:%M}", self.driver.advance, self._clock, until)

    def _check_conflict(self) -> None:
        """The identity of an event that was counted, with other data: refused, changing nothing."""
        event = self.scenario.weeks[0].events[0]
        if not self.driver.is_refused(replace(event, data={**event.data, "tokens": 1})):
            self._differences.append("an event resent with changed data was not refused")

    def _check(self, what: str, compare: Callable[[], list[str]]) -> None:
        found = self._timed(f"compare {what} with the tally", compare)
        self._differences += [f"{what}: {difference}" for difference in found]

    def _timed(self, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
        started = time.monotonic()
        result = call(*arguments)
        _progress(what, "", time.monotonic() - started)
        return result


def _progress(what: str, outcome: str, seconds: float) -> None:
    print(f"  {what:<44}{outcome:<36}{seconds:>6.1f} s", flush=True)
