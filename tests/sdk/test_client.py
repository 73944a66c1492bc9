"""The client against an endpoint on this machine: nothing is lost silently, whatever happens."""

import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from typing import Any

import httpx
import pytest

from meterline_client import (
    Batching,
    Buffer,
    BufferFullError,
    Client,
    ClosedError,
    ConflictError,
    EventTooLargeError,
    Failure,
    InvalidRequestError,
    Options,
    Problem,
    Retry,
    UnreachableError,
)
from tests.sdk.stub_server import Stub

QUICK = Options(
    batching=Batching(max_age_seconds=0.02),
    delivery_retry=Retry(3, base_seconds=0.001),
    close_seconds=5.0,
)
SOURCES = os.path.join(os.path.dirname(__file__), "../../clients/python/src")  # noqa: PTH118, PTH120


class Gate:
    """A transport that answers when it is let, and keeps the requests' events."""

    def __init__(self, *, opened: bool = True) -> None:
        self.open = threading.Event()
        self.batches: list[list[dict[str, Any]]] = []
        self.status = 200
        if opened:
            self.open.set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert self.open.wait(10)
        encoding = request.headers.get("content-encoding")
        body = httpx.Response(
            200, content=request.content, headers={"content-encoding": encoding or "identity"}
        )
        batch = body.json()
        self.batches.append(batch)
        answer = {"accepted": len(batch), "duplicates": 0, "unmetered": 0}
        return httpx.Response(self.status, json=answer)

    @property
    def numbers(self) -> list[int]:
        return [event["data"]["n"] for batch in self.batches for event in batch]


@pytest.fixture
def gate() -> Gate:
    return Gate()


def client_at(gate: Gate, failures: list[Failure] | None = None, **more: Any) -> Client:
    failures = [] if failures is None else failures
    return Client(
        "http://stub",
        "ml_key",
        source="test",
        transport=httpx.MockTransport(gate),
        on_failure=failures.append,
        options=replace(QUICK, **more),
    )


def meter_many(client: Client, count: int) -> None:
    for n in range(count):
        client.meter("t", "acme", {"n": n, "text": "x" * 100})


def wait_until(holds: Any) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_batches_are_cut_by_count(gate: Gate) -> None:
    with client_at(gate, batching=Batching(max_events=3, max_age_seconds=60)) as client:
        for n in range(7):
            client.meter("t", "acme", {"n": n})
        wait_until(lambda: len(gate.batches) == 2)
        assert client.counters().pending == 1
    assert [len(batch) for batch in gate.batches] == [3, 3, 1]
    assert gate.numbers == list(range(7))


def test_batches_are_cut_by_bytes(gate: Gate) -> None:
    batching = Batching(max_bytes=1000, max_age_seconds=60)
    with client_at(gate, batching=batching) as client:
        for n in range(9):
            client.meter("t", "acme", {"n": n, "text": "x" * 200})
    assert gate.numbers == list(range(9))
    sizes = [len(json.dumps(batch, separators=(",", ":"))) for batch in gate.batches]
    assert max(sizes) <= 1000
    assert len(sizes) > 2


def test_a_batch_that_is_not_full_leaves_by_age(gate: Gate) -> None:
    with client_at(gate, batching=Batching(max_age_seconds=0.05)) as client:
        began = time.monotonic()
        client.meter("t", "acme", {"n": 1})
        wait_until(lambda: client.counters().accepted == 1)
        assert time.monotonic() - began >= 0.05


def test_flush_sends_what_was_metered_before_it(gate: Gate) -> None:
    with client_at(gate, batching=Batching(max_age_seconds=60)) as client:
        client.meter("t", "acme", {"n": 1})
        assert client.flush(5)
        assert client.counters().accepted == 1
        gate.open.clear()
        client.meter("t", "acme", {"n": 2})
        assert not client.flush(0.05)
        gate.open.set()


def test_an_event_that_no_request_could_carry_is_refused_at_once(gate: Gate) -> None:
    with client_at(gate, batching=Batching(max_bytes=300)) as client:
        with pytest.raises(EventTooLargeError):
            client.meter("t", "acme", {"text": "x" * 300})
        assert client.counters().pending == 0


def test_one_identity_is_kept_through_retries(stub: Stub, url: str) -> None:
    draws = iter(["lost-reply", "truncated-reply", "unavailable"])
    stub.draw = lambda: next(draws, "")  # type: ignore[method-assign]
    options = replace(QUICK, delivery_retry=Retry(9, base_seconds=0.001))
    with Client(url, "ml_key", source="test", options=options) as client:
        client.meter("t", "acme", {"n": 1})
    counters = client.counters()
    assert (counters.accepted, counters.duplicates, counters.retried) == (0, 1, 3)
    assert stub.store.tally()["stored"] == 1


def test_bad_events_are_handed_over_and_the_others_are_stored(stub: Stub, url: str) -> None:
    failures: list[Failure] = []
    batching = Batching(max_events=50, max_age_seconds=60)
    with Client(
        url,
        "ml_key",
        source="test",
        options=replace(QUICK, batching=batching),
        on_failure=failures.append,
    ) as client:
        for n in range(100):
            client.meter("t", "acme", {"n": n, **({"bad": True} if n % 10 == 7 else {})})
    assert sorted(f.event["data"]["n"] for f in failures) == list(range(7, 100, 10))
    assert {f.problems for f in failures} == {(Problem("/data/bad", "refused"),)}
    assert all(isinstance(f.error, InvalidRequestError) for f in failures)
    assert stub.store.numbers.keys() == {n for n in range(100) if n % 10 != 7}
    counters = client.counters()
    assert (counters.accepted, counters.failed, counters.pending) == (90, 10, 0)


def test_a_contradiction_is_handed_over_and_the_others_are_stored(stub: Stub, url: str) -> None:
    failures: list[Failure] = []
    with Client(url, "ml_key", source="test", options=QUICK, on_failure=failures.append) as client:
        client.meter("t", "acme", {"n": 1}, id="same")
        client.flush()
        client.meter("t", "acme", {"n": 2}, id="same")
        client.meter("t", "acme", {"n": 3})
        client.meter("t", "acme", {"n": 1}, id="same")
    [failure] = failures
    assert (failure.event["data"], type(failure.error)) == ({"n": 2}, ConflictError)
    counters = client.counters()
    assert (counters.accepted, counters.duplicates, counters.failed) == (2, 1, 1)
    assert stub.store.numbers == {1: 1, 3: 1}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_of_the_key_is_not_repeated_and_not_silent(gate: Gate, status: int) -> None:
    failures: list[Failure] = []
    gate.status = status
    with client_at(gate, failures) as client:
        client.meter("t", "acme", {"n": 1})
    assert len(gate.batches) == 1
    assert [(f.event["data"], f.kept) for f in failures] == [({"n": 1}, False)]
    assert client.counters().failed == 1


def test_when_attempts_are_used_up_the_events_are_handed_over(gate: Gate) -> None:
    failures: list[Failure] = []
    gate.status = 503
    with client_at(gate, failures) as client:
        client.meter("t", "acme", {"n": 1})
    assert (len(gate.batches), len(failures), client.counters().retried) == (3, 1, 2)


def full_client(gate: Gate, failures: list[Failure], buffer: Buffer) -> Client:
    """A client whose first event is being sent, and whose buffer of three is full."""
    gate.open.clear()
    batching = Batching(max_events=1)
    client = client_at(gate, failures, batching=batching, buffer=buffer)
    client.meter("t", "acme", {"n": 0})
    wait_until(lambda: len(client._core.queue._waiting) == 0)
    for n in (1, 2, 3):
        client.meter("t", "acme", {"n": n})
    return client


def test_when_full_it_raises_if_told_to(gate: Gate) -> None:
    failures: list[Failure] = []
    client = full_client(gate, failures, Buffer(max_events=3, when_full="raise"))
    with pytest.raises(BufferFullError):
        client.meter("t", "acme", {"n": 4})
    gate.open.set()
    client.close()
    assert (gate.numbers, client.counters().dropped, failures) == ([0, 1, 2, 3], 1, [])


@pytest.mark.parametrize(
    ("policy", "dropped", "sent"),
    [("drop_newest", [4, 5], [0, 1, 2, 3]), ("drop_oldest", [1, 2], [0, 3, 4, 5])],
)
def test_what_is_dropped_is_counted_and_handed_over(
    gate: Gate, policy: Any, dropped: list[int], sent: list[int]
) -> None:
    failures: list[Failure] = []
    client = full_client(gate, failures, Buffer(max_events=3, when_full=policy))
    client.meter("t", "acme", {"n": 4})
    client.meter("t", "acme", {"n": 5})
    assert [f.event["data"]["n"] for f in failures] == dropped
    assert {type(f.error) for f in failures} == {BufferFullError}
    gate.open.set()
    client.close()
    assert gate.numbers == sent
    counters = client.counters()
    assert (counters.accepted, counters.dropped, counters.pending) == (4, 2, 0)


def test_the_bound_is_of_bytes_too(gate: Gate) -> None:
    gate.open.clear()
    buffer = Buffer(max_bytes=1000, when_full="raise")
    client = client_at(gate, buffer=buffer, batching=Batching(max_events=1))
    with pytest.raises(BufferFullError):
        meter_many(client, 20)
    gate.open.set()
    client.close()


def test_when_full_it_waits_for_room(gate: Gate) -> None:
    client = full_client(gate, [], Buffer(max_events=3, block_seconds=10))
    threading.Timer(0.1, gate.open.set).start()
    began = time.monotonic()
    client.meter("t", "acme", {"n": 4})
    assert time.monotonic() - began >= 0.09
    client.close()
    assert gate.numbers == [0, 1, 2, 3, 4]


def test_it_does_not_wait_for_ever(gate: Gate) -> None:
    client = full_client(gate, [], Buffer(max_events=3, block_seconds=0.05))
    with pytest.raises(BufferFullError):
        client.meter("t", "acme", {"n": 4})
    gate.open.set()
    client.close()
    assert client.counters().dropped == 1


def test_closing_gives_up_what_cannot_be_sent_in_time(gate: Gate) -> None:
    failures: list[Failure] = []
    gate.status = 503
    client = client_at(gate, failures, close_seconds=0.1, delivery_retry=Retry(99, base_seconds=30))
    for n in range(5):
        client.meter("t", "acme", {"n": n})
    client.close()
    client.close()
    assert sorted(f.event["data"]["n"] for f in failures) == [0, 1, 2, 3, 4]
    assert all(isinstance(f.error, UnreachableError) for f in failures)
    counters = client.counters()
    assert (counters.failed, counters.pending, counters.accepted) == (5, 0, 0)
    with pytest.raises(ClosedError):
        client.meter("t", "acme", {"n": 6})


def test_what_is_left_when_closing_is_interrupted_is_told(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.open.clear()
    failures = list[Failure]()
    client = client_at(gate, failures)
    client.meter("t", "acme", {"n": 1})

    def interrupted(self: threading.Thread, timeout: float | None = None) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", interrupted)
        with pytest.raises(KeyboardInterrupt):
            client.close()
    gate.open.set()
    assert [failure.event["data"] for failure in failures] == [{"n": 1}]
    assert (client.counters().failed, client.counters().pending) == (1, 0)


def test_failures_are_logged_when_nobody_takes_them(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(failure: Failure) -> None:
        raise RuntimeError("the handler itself")

    gate.status = 403
    transport = httpx.MockTransport(gate)
    for handler in (None, broken):
        with Client(
            "http://stub",
            "k",
            source="test",
            transport=transport,
            on_failure=handler,
            options=QUICK,
        ) as client:
            client.meter("t", "acme", {"n": 1, "secret": "hush"}, id="the-id")
    assert caplog.text.count("usage event the-id of test is lost: 403") == 2
    assert "hush" not in caplog.text


def test_threads_share_a_client(stub: Stub, url: str) -> None:
    stub.rate = 0.2
    options = replace(
        QUICK, batching=Batching(max_events=20), delivery_retry=Retry(50, base_seconds=0.001)
    )
    with Client(url, "ml_key", source="test", options=options) as client:

        def meter(first: int) -> None:
            for n in range(first, first + 500):
                client.meter("t", "acme", {"n": n})

        threads = [threading.Thread(target=meter, args=(t * 500,)) for t in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    tally = stub.store.tally()
    assert (tally["stored"], tally["numbers"]) == (2000, 2000)
    counters = client.counters()
    assert counters.accepted + counters.duplicates == 2000


def test_the_end_of_the_program_sends_what_waits(stub: Stub, url: str) -> None:
    program = (
        "from meterline_client import Client\n"
        f"client = Client({url!r}, 'ml_key', source='test')\n"
        "for n in range(10): client.meter('t', 'acme', {'n': n})\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)
    assert stub.store.numbers.keys() == set(range(10))


def test_a_forked_child_sends_its_own_events_and_not_its_parents(stub: Stub, url: str) -> None:
    options = replace(QUICK, batching=Batching(max_age_seconds=60))
    client = Client(url, "ml_key", source="test", options=options)
    client.meter("t", "acme", {"n": 0})
    client.flush()
    client.meter("t", "acme", {"n": 1})

    def child() -> None:
        assert client.counters().pending == 0
        client.meter("t", "acme", {"n": 2})
        client.close()

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(20)
    assert process.exitcode == 0
    assert stub.store.numbers == {0: 1, 2: 1}
    assert client.counters().pending == 1
    client.close()
    assert stub.store.numbers == {0: 1, 1: 1, 2: 1}
    assert stub.store.received == 3


def test_where_the_system_is_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("METERLINE_URL", raising=False)
    monkeypatch.delenv("METERLINE_API_KEY", raising=False)
    with pytest.raises(ValueError, match="METERLINE_URL"):
        Client(source="test")
    monkeypatch.setenv("METERLINE_API_KEY", "ml_key")
    with pytest.raises(ValueError, match="https"):
        Client("meterline.example.com", source="test")
    gate = Gate()
    monkeypatch.setenv("METERLINE_URL", "http://stub/")
    with Client(source="test", transport=httpx.MockTransport(gate)) as client:
        client.meter("t", "acme", {"n": 1})
    assert gate.numbers == [1]
