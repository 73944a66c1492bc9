"""What a million archived events cost in requests and bytes, when they come thick and fast."""

import json
import uuid
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from random import Random

from functions.archive import read_record
from local.streams.consumer import MAXIMUM_PAYLOAD_BYTES
from shared.domain.events import UsageEvent
from shared.services.archive import write
from tests.fakes.archive import MemoryArchive
from tests.support.builders import MARCH
from tests.support.streams import usage_record

MILLION = 1_000_000
SAMPLE = 10_000
MODELS = ("small", "large", "vision")


def figures() -> Iterator[tuple[str, str]]:
    """Each figure with its name; one batch as large as an invocation takes, scaled to a million."""
    records = [usage_record(event, n) for n, event in enumerate(_events())]
    record_bytes = sum(len(json.dumps(record)) for record in records) / SAMPLE
    batch = min(SAMPLE, int(MAXIMUM_PAYLOAD_BYTES / record_bytes))
    files = MemoryArchive()
    write(files, map(read_record, records[:batch]))
    [content] = files.files.values()
    lines = sum(len(line) + 1 for line in files.lines())
    yield "archive, events a file, one day's", f"{batch:,}"
    yield "archive, PUT requests and invocations per million", f"{-(-MILLION // batch):,}"
    yield "archive, bytes of an event's line", f"{lines / batch:,.0f}"
    yield "archive, bytes stored per event", f"{len(content) / batch:,.0f}"


def _events() -> Iterator[UsageEvent]:
    """Completions of 500 customers, with ids that do not compress."""
    chance = Random(1)  # noqa: S311  # The same figures every time.
    for n in range(SAMPLE):
        at = MARCH + timedelta(milliseconds=30 * n)
        yield UsageEvent(
            customer=f"customer-{chance.randrange(500)}",
            source="chat-service",
            id=str(uuid.UUID(int=chance.getrandbits(128))),
            type="model.completion",
            occurred_at=at,
            received_at=at + timedelta(milliseconds=chance.randrange(50, 500)),
            catalogue_version=7,
            data={"tokens": Decimal(chance.randrange(20, 4000)), "model": chance.choice(MODELS)},
            extensions={},
        )
