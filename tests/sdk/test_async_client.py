"""The asynchronous client keeps the promises of the synchronous one."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from meterline_client import (
    AsyncClient,
    Batching,
    Buffer,
    BufferFullError,
    ClosedError,
    Failure,
    Options,
    Retry,
    Spool,
    UnreachableError,
)
from tests.sdk.stub_server import Stub
from tests.sdk.test_client import QUICK, Gate, wait_until


class AsyncGate(Gate):
    """The gate, waited for without holding up the loop."""

    async def handle(self, request: httpx.Request) -> httpx.Response:
        return await asyncio.to_thread(self, request)


def client_at(gate: AsyncGate, failures: list[Failure] | None = None, **more: Any) -> AsyncClient:
    return AsyncClient(
        "http://stub",
        "ml_key",
        source="test",
        transport=httpx.MockTransport(gate.handle),
        on_failure=([] if failures is None else failures).append,
        options=replace(QUICK, **more),
    )


async def until(holds: Callable[[], bool]) -> None:
    await asyncio.to_thread(wait_until, holds)


def test_batches_are_cut_by_count_and_age() -> None:
    async def play() -> None:
        gate = AsyncGate()
        async with client_at(gate, batching=Batching(max_events=3, max_age_seconds=0.2)) as client:
            for n in range(7):
                await client.meter("t", "acme", {"n": n})
            await until(lambda: len(gate.batches) == 2)
            await until(lambda: len(gate.batches) == 3)
            await client.meter("t", "acme", {"n": 7})
            assert await client.flush(5)
        assert [len(batch) for batch in gate.batches] == [3, 3, 1, 1]
        assert gate.numbers == list(range(8))

    asyncio.run(play())


def test_many_tasks_through_faults_lose_and_double_nothing(stub: Stub, url: str) -> None:
    stub.rate = 0.3
    options = Options(
        batching=Batching(max_events=20, max_age_seconds=0.01),
        delivery_retry=Retry(60, base_seconds=0.001, cap_seconds=0.01),
        timeout_seconds=0.5,
        close_seconds=60.0,
        buffer=Buffer(max_events=100),
    )

    async def play() -> AsyncClient:
        async with AsyncClient(url, "ml_key", source="test", options=options) as client:

            async def meter(first: int) -> None:
                for n in range(first, first + 200):
                    await client.meter("t", "acme", {"n": n})

            await asyncio.gather(*(meter(200 * task) for task in range(5)))
        return client

    counters = asyncio.run(play()).counters()
    tally = stub.store.tally()
    assert (tally["stored"], tally["numbers"]) == (1000, 1000)
    assert (counters.accepted + counters.duplicates, counters.failed) == (1000, 0)


def test_the_policies_when_full() -> None:
    async def play(policy: Any) -> tuple[list[int], list[int], int]:
        gate, failures, raised = AsyncGate(opened=False), list[Failure](), 0
        buffer = Buffer(max_events=3, when_full=policy, block_seconds=0.02)
        async with client_at(
            gate, failures, buffer=buffer, batching=Batching(max_events=1)
        ) as client:
            await client.meter("t", "acme", {"n": 0})
            await until(lambda: len(client._core.queue._waiting) == 0)
            for n in range(1, 6):
                try:
                    await client.meter("t", "acme", {"n": n})
                except BufferFullError:
                    raised += 1
            gate.open.set()
        counters = client.counters()
        assert (counters.accepted, counters.dropped) == (4, 2)
        return gate.numbers, [f.event["data"]["n"] for f in failures], raised

    assert asyncio.run(play("raise")) == ([0, 1, 2, 3], [], 2)
    assert asyncio.run(play("block")) == ([0, 1, 2, 3], [], 2)
    assert asyncio.run(play("drop_newest")) == ([0, 1, 2, 3], [4, 5], 0)
    assert asyncio.run(play("drop_oldest")) == ([0, 3, 4, 5], [1, 2], 0)


def test_closing_gives_up_what_cannot_be_sent_in_time() -> None:
    async def play() -> None:
        gate, failures = AsyncGate(), list[Failure]()
        gate.status = 503
        retry = Retry(99, base_seconds=30)
        client = client_at(gate, failures, close_seconds=0.1, delivery_retry=retry)
        await client.meter("t", "acme", {"n": 1})
        await client.close()
        await client.close()
        assert [type(f.error) for f in failures] == [UnreachableError]
        assert client.counters().failed == 1
        with pytest.raises(ClosedError):
            await client.meter("t", "acme", {"n": 2})

    asyncio.run(play())


def test_closing_sends_what_waits_also_after_every_task_was_cancelled() -> None:
    async def play() -> None:
        gate, failures = AsyncGate(), list[Failure]()
        client = client_at(gate, failures, batching=Batching(max_age_seconds=60))
        await client.meter("t", "acme", {"n": 1})
        await asyncio.sleep(0)
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)
        await client.close()
        assert (gate.numbers, failures) == ([1], [])

    asyncio.run(play())


def test_what_is_left_when_closing_is_cancelled_is_told() -> None:
    async def play() -> None:
        gate, failures = AsyncGate(opened=False), list[Failure]()
        client = client_at(gate, failures)
        await client.meter("t", "acme", {"n": 1})
        closing = asyncio.create_task(client.close())
        await asyncio.sleep(0.05)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert [failure.event["data"] for failure in failures] == [{"n": 1}]
        assert (client.counters().failed, client.counters().pending) == (1, 0)
        gate.open.set()

    asyncio.run(play())


def test_what_a_client_holds_that_was_never_closed_is_told() -> None:
    async def play(failures: list[Failure]) -> None:
        client = client_at(AsyncGate(), failures, batching=Batching(max_age_seconds=60))
        await client.meter("t", "acme", {"n": 1})

    failures: list[Failure] = []
    asyncio.run(play(failures))
    gc.collect()
    assert [(f.event["data"], str(f.error)) for f in failures] == [
        ({"n": 1}, "the client was never closed")
    ]


def test_a_spool_outlives_the_loop(tmp_path: Path) -> None:
    async def play(gate: AsyncGate, work: Callable[[AsyncClient], Awaitable[object]]) -> None:
        more: dict[str, Any] = {"spool": Spool(tmp_path), "close_seconds": 0.2}
        async with client_at(gate, **more) as client:
            await work(client)

    down, up = AsyncGate(), AsyncGate()
    down.status = 503
    asyncio.run(play(down, lambda client: client.meter("t", "acme", {"n": 1})))
    asyncio.run(play(up, lambda client: client.flush(5)))
    assert (up.numbers, list(tmp_path.iterdir())) == ([1], [])
