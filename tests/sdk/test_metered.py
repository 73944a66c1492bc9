"""Functions whose calls are metered."""

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from meterline_client import AsyncClient, Client, count, duration, metered, value
from tests.sdk.test_async_client import AsyncGate
from tests.sdk.test_async_client import client_at as async_client_at
from tests.sdk.test_client import Gate, client_at


def events(gate: Gate) -> list[dict[str, Any]]:
    return [event for batch in gate.batches for event in batch]


def test_calls_are_counted_for_whom_they_were_made() -> None:
    gate = Gate()
    with client_at(gate) as client:

        @metered(client, "export", customer=lambda call: call["user"])
        def export(user: str, pages: int = 1) -> int:
            """Exports."""
            return 2 * pages

        assert (export("acme"), export(user="initech", pages=4)) == (2, 8)
        assert (export.__name__, export.__doc__) == ("export", "Exports.")
    found = [(e["type"], e["subject"], e["data"]) for e in events(gate)]
    assert found == [("export", "acme", {}), ("export", "initech", {})]


def test_duration_and_values_of_the_result() -> None:
    gate = Gate()
    with client_at(gate) as client:
        timed = metered(client, "job", customer="acme", measure=duration(kind="small"))
        valued = metered(
            client, "file", customer="acme", measure=value("gb", lambda r: r / 10, zone="eu")
        )
        assert (timed(lambda: 1)(), valued(lambda: Decimal(3))()) == (1, 3)
    job, file = (event["data"] for event in events(gate))
    assert job["kind"] == "small"
    assert 0 <= Decimal(job["seconds"]) < 1
    assert file == {"zone": "eu", "gb": "0.3"}


def test_calls_that_raise_are_metered_only_if_told_to() -> None:
    gate = Gate()

    def fail() -> None:
        raise LookupError("its own")

    with client_at(gate) as client:
        for errors in (False, True):
            for measure in (count(errors=errors), value("n", lambda result: 1)):
                wrapped = metered(client, "t", customer="acme", measure=measure, errors=errors)
                with pytest.raises(LookupError, match="its own"):
                    wrapped(fail)()
    assert [event["data"] for event in events(gate)] == [{"errors": True}]


def test_metering_never_changes_how_a_call_ends(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with client_at(gate) as client:
        unknown = metered(client, "t", customer=lambda call: call["nobody"])
        wrong = metered(client, "t", customer="acme", measure=value("n", lambda r: r.missing))
        assert (unknown(lambda: 1)(), wrong(lambda: 2)()) == (1, 2)
    assert metered(client, "t", customer="acme")(lambda: 3)() == 3, "the client is closed"
    assert caplog.text.count("was not metered") == 3
    assert events(gate) == []


def test_async_functions_with_either_client() -> None:
    async def play(client: Client | AsyncClient) -> None:
        @metered(client, "t", customer="acme", measure=value("n", lambda result: result))
        async def work(n: int) -> int:
            await asyncio.sleep(0)
            return n

        assert await work(7) == 7

    async def both() -> tuple[AsyncGate, Gate]:
        first, second = AsyncGate(), Gate()
        async with async_client_at(first) as client:
            await play(client)
        with client_at(second) as plain:
            await play(plain)
        return first, second

    assert [gate.numbers for gate in asyncio.run(both())] == [[7], [7]]


def test_what_cannot_be_metered_is_refused_when_it_is_decorated() -> None:
    def numbers() -> Iterator[int]:
        yield 1

    transport = httpx.MockTransport(Gate())
    with (
        Client("http://stub", "k", source="test", transport=transport) as client,
        pytest.raises(TypeError, match="generator"),
    ):
        metered(client, "t", customer="acme")(numbers)
    with pytest.raises(TypeError, match="async"):
        metered(AsyncClient("http://stub", "k", source="test"), "t", customer="acme")(len)
