"""`python -m bench`: what events and questions cost, counted on the local DynamoDB engine.

Figures are counts that the engine and the client report, not times: they are the same on every
machine.
"""

import contextlib
import io
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from bench import archiving
from bench.questions import question_figures
from local.emulator import Aws, Emulator, free_port, stop_child
from shared.adapters.dynamodb.account_items import account_item
from shared.domain.catalogue import Meter, Rate
from shared.domain.prices import PerUnit
from tests.integration.conftest import synthesized_template, table_definition
from tests.support.builders import DAY, MARCH, a_plan, usage
from tests.support.capacity import Consumed, consumed, storing_units
from tests.support.large_account import large_account
from tests.support.sizes import item_bytes
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record

# What tells an event of a kind by its number, beside its customer and time.
Kind = Callable[[int], dict[str, Any]]

READS = ("BatchGetItem", "GetItem", "Query")


@contextlib.contextmanager
def emulator() -> Iterator[Aws]:
    """An emulator of its own, for as long as the block runs."""
    with tempfile.TemporaryDirectory() as home:
        engine = Emulator(free_port(), Path(home), persist=False, enforce_iam=False)
        process = engine.start(Path(home) / "emulator.log")
        try:
            engine.wait_until_ready(process)
            yield engine.aws()
        finally:
            stop_child(process)


@contextlib.contextmanager
def running_stack(aws: Aws) -> Iterator[Stack]:
    """The handlers on fresh tables, defined as the deployed stack defines them."""
    suffix = uuid.uuid4().hex[:8]
    names = (f"usage-events-{suffix}", f"billing-{suffix}")
    template = synthesized_template()
    for name, output in zip(names, ("EventsTableName", "BillingTableName"), strict=True):
        definition = table_definition(template, output)
        aws.client("dynamodb").create_table(TableName=name, **definition)
    with stack(aws, *names) as meterline:
        meterline.publish(*METERS)
        meterline.publish_defaults(a_plan(rates=(*a_plan().rates, *RATES)))
        yield meterline


def stored_data(number: int) -> dict[str, Any]:
    """Storage, at the same moment as any other."""
    return {"type": "disk", "data": {"gb": Decimal(number)}}


# What else an event may feed: by its type, a rated maximum or unique count, or new groups.
KINDS: dict[str, Kind] = {
    "max": lambda n: {"type": "load", "data": {"load": Decimal(n)}},
    "unique_count, all new": lambda n: {"type": "login", "data": {"who": f"user {n}"}},
    "unique_count, 10 values": lambda n: {"type": "login", "data": {"who": f"user {n % 10}"}},
    "sum by dimension, all new": lambda n: {
        "type": "call",
        "data": {"ms": Decimal(1), "path": f"/{n}"},
    },
    "sum by dimension, 10 groups": lambda n: {
        "type": "call",
        "data": {"ms": Decimal(1), "path": f"/{n % 10}"},
    },
}
METERS = (
    Meter("load", "load", "max", "load"),
    Meter("logins", "login", "unique_count", "who"),
    Meter("calls", "call", "sum", "ms", ("path",)),
)
RATES = tuple(Rate(meter.key, PerUnit(Decimal("0.01")), "USD") for meter in METERS)


def event_cost(
    meterline: Stack, together: int, kind: Kind = stored_data, name: str = "sum"
) -> tuple[float, Consumed]:
    """Write units per event of one customer that feeds one meter, and all requests made."""
    client = meterline.runtime.dynamodb
    customer = f"bench {name} {together}"
    meterline.apply([usage_record(usage(customer, "first", MARCH), 1)])
    pump = meterline.pump()
    pump.run()
    events = [usage(customer, n, MARCH, **kind(n)) for n in range(together)]
    # What events look like is noted once for all of a type.
    meterline.runtime.event_types.note(events)
    with consumed(client) as used:
        meterline.store(*events)
        pump.run()
    stored = sum(storing_units(client, meterline.events_table, event) for event in events)
    return (used.write_units - together + stored) / together, used


def batch_requests(meterline: Stack, customers: int, meters_and_hours: int) -> Consumed:
    """Requests of one aggregate batch."""
    events = [
        usage(f"batch{customers}-{c}", n, MARCH + n * DAY)
        for c in range(customers)
        for n in range(meters_and_hours)
    ]
    first = [usage(f"batch{customers}-{c}", "first", MARCH) for c in range(customers)]
    meterline.apply([usage_record(event, n) for n, event in enumerate(first, 1)])
    with consumed(meterline.runtime.dynamodb) as used:
        meterline.apply([usage_record(event, n) for n, event in enumerate(events, 100)])
    return used


def figures() -> Iterator[tuple[str, str]]:
    """Each figure with its name."""
    for phases in (1, 3):
        size = item_bytes(account_item(large_account(phases=phases)))
        yield f"account item, {phases} phase(s), 12 shards, 5 rates, 3 grants", f"{size} bytes"
    yield from archiving.figures()
    with emulator() as aws, running_stack(aws) as meterline:
        for together in (1, 10, 100):
            units, used = event_cost(meterline, together)
            requests = len(used.requests) / together
            yield f"write units per event, {together} together", f"{units:.2f}"
            yield f"requests per event, {together} together", f"{requests:.2f}"
        for name, kind in KINDS.items():
            for together in (1, 100):
                units, _ = event_cost(meterline, together, kind, name)
                yield f"write units per event, {name}, {together} together", f"{units:.2f}"
        for customers, hours in ((1, 1), (10, 1), (10, 5)):
            used = batch_requests(meterline, customers, hours)
            reads = sum(operation in READS for operation in used.requests)
            name = f"aggregate batch, {customers} customer(s), {2 * hours} usage hours each"
            yield name, f"{reads} reads, {len(used.requests) - reads} writes"
        yield from question_figures(meterline)


def main() -> None:
    # The functions log as they go; only the figures are wanted here.
    noise = io.StringIO()
    with contextlib.redirect_stdout(noise):
        for name, figure in figures():
            print(f"{name:<60} {figure:>20}", file=sys.__stdout__, flush=True)


if __name__ == "__main__":
    main()
