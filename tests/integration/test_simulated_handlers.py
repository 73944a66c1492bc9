"""The simulation's slower ring: the handlers on a real engine, with faults beneath the client."""

import os
import uuid
from typing import Any

import pytest

from local.emulator import Aws
from tests.simulation.adapter_ring import Ring, publish
from tests.support.stack import stack

FIRST, SEEDS = int(os.environ.get("FIRST", "0")), int(os.environ.get("SEEDS", "3"))


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
def test_handlers_survive_a_seed(
    aws: Aws, table_definitions: tuple[dict[str, Any], dict[str, Any]], seed: int
) -> None:
    client = aws.client("dynamodb")
    suffix = uuid.uuid4().hex[:8]
    names = (f"usage-events-{suffix}", f"billing-{suffix}")
    for name, definition in zip(names, table_definitions, strict=True):
        client.create_table(TableName=name, **definition)
    with stack(aws, *names) as running:
        publish(running, seed)
        ring = Ring(running, seed)
        assert ring.play() == []
        assert ring.seen["requests answered"]
        print(dict(sorted(ring.seen.items())))
    for name in names:
        client.delete_table(TableName=name)
