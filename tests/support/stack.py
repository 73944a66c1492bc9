"""The real handlers in this process, on a test's own tables."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from functions import aggregate, ingest, react
from functions._runtime import Runtime, runtime
from local.emulator import Aws, aws_environment
from local.streams.model import Event, Faults
from shared.domain.catalogue import Catalogue, Plan
from shared.domain.events import UsageEvent
from shared.domain.ledger import LedgerEntry
from shared.domain.publishing import Publication
from shared.services.billing_run import BillingRun
from shared.services.changes import PutAudit
from shared.services.test_clocks import TestClocks
from tests.support.builders import MESSAGES, SPARKS, STORAGE, TOKENS, a_plan
from tests.support.streams import Pump, batch

LONG = 1000


@dataclass
class Stack:
    """Handlers, and looks at what they stored."""

    aws: Aws
    events_table: str
    billing_table: str

    @property
    def runtime(self) -> Runtime:
        return runtime()

    def ingest(self, event: Event) -> dict[str, Any]:
        return ingest.handler(event, None)

    def aggregate(self, event: Event) -> dict[str, Any]:
        return aggregate.handler(event, None)

    def apply(self, records: list[Event], shard: str = "shard-1") -> dict[str, Any]:
        """One batch through the aggregate function."""
        return aggregate.handler(batch(records, shard), None)

    def react(self, event: Event) -> dict[str, Any]:
        return react.handler(event, None)

    def pump(self, faults: Faults | None = None) -> Pump:
        return Pump(
            self.aws,
            self.events_table,
            self.billing_table,
            self.aggregate,
            self.react,
            faults or Faults(),
        )

    def billing_run(self, pump: Pump) -> BillingRun:
        """The billing run, for which the stream moves while it waits."""
        return replace(runtime().billing_run, sleep=lambda _: pump.run())

    def test_clocks(self, pump: Pump) -> TestClocks:
        """Test clocks, for which the streams move while they wait."""
        run = self.billing_run(pump)
        return replace(runtime().test_clocks, billing_run=run, sleep=lambda _: pump.run())

    def store(self, *events: UsageEvent) -> None:
        """Puts events into the usage-events table."""
        verdicts = runtime().event_store.insert(events)
        assert set(verdicts) == {"stored"}

    def publish(self, *entries: Any) -> Catalogue:
        """Publishes meters, plans or units as the next versions, whatever they say."""
        store = runtime().catalogue_service._store
        for entry in entries:
            audit = PutAudit(datetime.now(UTC), "tests", "publish", entry.key)
            store.publish(store.head_version(), Publication("publish", None, entry), audit)
        runtime().catalogue.newest()
        return store.load()

    def publish_defaults(self, *plans: Plan) -> Catalogue:
        """Three meters, a credit unit, and the plans: catalogue version 5 with one plan."""
        return self.publish(MESSAGES, TOKENS, STORAGE, SPARKS, *(plans or (a_plan(),)))

    def ledger(self, customer: str) -> tuple[LedgerEntry, ...]:
        return runtime().store.ledger(customer, LONG, None).items


@contextmanager
def stack(aws: Aws, events_table: str, billing_table: str) -> Iterator[Stack]:
    """The handlers' environment while the block runs."""
    environment = {
        **aws_environment(aws.endpoint_url),
        "STAGE": "test",
        "EVENTS_TABLE": events_table,
        "BILLING_TABLE": billing_table,
        "GRACE_SECONDS": "3600",
        "TEST_CLOCKS": "1",
        "POWERTOOLS_METRICS_NAMESPACE": "Meterline",
        "POWERTOOLS_SERVICE_NAME": "tests",
        "POWERTOOLS_METRICS_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        runtime.cache_clear()
        yield Stack(aws, events_table, billing_table)
        runtime.cache_clear()
