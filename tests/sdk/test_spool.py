"""Events on disk: whatever ends the process, they are sent by the next one."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from meterline_client import (
    Batching,
    Buffer,
    BufferFullError,
    Client,
    Failure,
    Options,
    Retry,
    Spool,
    SpoolError,
)
from meterline_client import _spool as spool_module
from meterline_client._spool import SpoolFolder
from tests.sdk.stub_server import Stub
from tests.sdk.test_client import SOURCES, Gate, meter_many, wait_until


def options(folder: Path, **more: Any) -> Options:
    known: dict[str, Any] = {
        "spool": Spool(folder),
        "batching": Batching(max_age_seconds=0.01),
        "delivery_retry": Retry(base_seconds=0.001, cap_seconds=0.01),
        "close_seconds": 5.0,
    }
    return Options(**{**known, **more})


def client_at(gate: Gate, folder: Path, failures: list[Failure], **more: Any) -> Client:
    return Client(
        "http://stub",
        "ml_key",
        source="test",
        transport=httpx.MockTransport(gate),
        on_failure=failures.append,
        options=options(folder, **more),
    )


def files(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


def test_what_is_settled_leaves_no_file(tmp_path: Path) -> None:
    gate, failures = Gate(opened=False), list[Failure]()
    with client_at(gate, tmp_path, failures) as client:
        client.meter("t", "acme", {"n": 1})
        assert len(files(tmp_path)) == 1
        gate.open.set()
        client.flush()
        assert files(tmp_path) == []
        client.meter("t", "acme", {"n": 2})
    assert (files(tmp_path), gate.numbers, failures) == ([], [1, 2], [])


def test_what_could_not_be_sent_is_sent_by_the_next_process(tmp_path: Path) -> None:
    gate, failures = Gate(), list[Failure]()
    gate.status = 503
    client = client_at(gate, tmp_path, failures, close_seconds=0.1)
    for n in range(5):
        client.meter("t", "acme", {"n": n})
    client.close()
    assert [(f.kept, f.event["data"]["n"]) for f in failures] == [(True, n) for n in range(5)]
    counters = client.counters()
    assert (counters.kept, counters.failed, counters.pending) == (5, 0, 0)
    again = Gate()
    with client_at(again, tmp_path, failures) as second:
        assert second.flush(5)
    assert again.numbers == [0, 1, 2, 3, 4]
    assert [e["id"] for e in again.batches[0]] == [f.event["id"] for f in failures]
    assert (files(tmp_path), second.counters().accepted) == ([], 5)


def test_a_refused_key_leaves_the_events_in_the_spool(tmp_path: Path) -> None:
    gate, failures = Gate(), list[Failure]()
    gate.status = 401
    with client_at(gate, tmp_path, failures) as client:
        client.meter("t", "acme", {"n": 1})
    assert (len(gate.batches), [f.kept for f in failures]) == (1, [True])
    again = Gate()
    with client_at(again, tmp_path, failures):
        pass
    assert again.numbers == [1]


def test_a_torn_tail_is_left_out_and_counted(tmp_path: Path) -> None:
    first = SpoolFolder(Spool(tmp_path))
    for n in range(3):
        first.append(b'{"id": "%d", "data": {"n": %d}}' % (n, n))
    first.forget()
    [segment] = files(tmp_path)
    whole = segment.read_bytes()
    for cut in (1, 5, len(whole) // 3 - 1):
        segment.write_bytes(whole[:-cut])
        gate = Gate()
        with client_at(gate, tmp_path, []) as client:
            assert client.flush(5)
        assert (gate.numbers, client.counters().torn) == ([0, 1], 1)


def test_a_line_that_was_changed_is_left_out_and_counted(tmp_path: Path) -> None:
    first = SpoolFolder(Spool(tmp_path))
    for n in range(3):
        first.append(b'{"id": "%d", "data": {"n": %d}}' % (n, n))
    first.forget()
    [segment] = files(tmp_path)
    segment.write_bytes(segment.read_bytes().replace(b'"n": 1', b'"n": 7'))
    gate = Gate()
    with client_at(gate, tmp_path, []) as client:
        assert client.flush(5)
    assert (gate.numbers, client.counters().torn) == ([0, 2], 1)


def test_processes_share_the_folder_and_never_a_file(tmp_path: Path) -> None:
    gate = Gate(opened=False)
    first = client_at(gate, tmp_path, [])
    first.meter("t", "acme", {"n": 1})
    other = Gate()
    with client_at(other, tmp_path, []) as second:
        second.meter("t", "acme", {"n": 2})
    assert other.numbers == [2]
    gate.open.set()
    first.close()
    assert (gate.numbers, files(tmp_path)) == ([1], [])


def test_what_exceeds_memory_waits_on_disk_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 2000)
    gate, failures = Gate(opened=False), list[Failure]()
    batching = Batching(max_events=4, max_age_seconds=0.01)
    buffer = Buffer(max_events=10, when_full="raise")
    spool = Spool(tmp_path, max_bytes=64 * 2000)
    client = client_at(gate, tmp_path, failures, batching=batching, buffer=buffer, spool=spool)
    for n in range(200):
        client.meter("t", "acme", {"n": n})
    assert len(client._core.queue._waiting) <= 10
    assert client.counters().pending == 200
    gate.open.set()
    wait_until(lambda: client.counters().accepted > 50)
    for n in range(200, 230):
        client.meter("t", "acme", {"n": n})
    client.close()
    assert gate.numbers == list(range(230))
    assert (client.counters().accepted, failures, files(tmp_path)) == (230, [], [])


def test_a_large_spool_keeps_few_files_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "SEGMENT_BYTES", 100)
    folder = SpoolFolder(Spool(tmp_path, max_bytes=1_000_000))
    while folder.has_room(event := b"x" * 1000):
        folder.append(event)
    assert 60 <= len(files(tmp_path)) <= spool_module.MAX_SEGMENTS
    folder.close()


def test_who_tidies_the_folder_up_takes_nothing_away(tmp_path: Path) -> None:
    gate = Gate(opened=False)
    buffer = Buffer(max_events=1)
    client = client_at(gate, tmp_path, [], buffer=buffer)
    for n in range(3):
        client.meter("t", "acme", {"n": n})
    for file in files(tmp_path):
        file.unlink()
    gate.open.set()
    client.close()
    assert sorted(gate.numbers) == [0, 1, 2]


def test_the_disk_is_bounded_too(tmp_path: Path) -> None:
    gate = Gate(opened=False)
    client = client_at(
        gate,
        tmp_path,
        [],
        spool=Spool(tmp_path, max_bytes=1000),
        buffer=Buffer(when_full="raise"),
    )
    with pytest.raises(BufferFullError):
        meter_many(client, 100)
    assert sum(path.stat().st_size for path in files(tmp_path)) <= 1000
    gate.open.set()
    client.close()
    assert client.counters().accepted == len(gate.numbers)


def test_dropping_the_oldest_does_not_go_with_a_spool(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="spool"):
        client_at(Gate(), tmp_path, [], buffer=Buffer(when_full="drop_oldest"))


def test_an_event_that_cannot_be_kept_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    client = client_at(gate, tmp_path, [], batching=Batching(max_age_seconds=60))
    client.meter("t", "acme", {"n": 1})
    real = os.write

    def full(file: int, data: bytes) -> int:
        if len(data) < 40:
            raise OSError(28, "No space left on device")
        return real(file, data[: len(data) // 2])

    with monkeypatch.context() as patch:
        patch.setattr(spool_module.os, "write", full)
        with pytest.raises(SpoolError, match="No space left"):
            client.meter("t", "acme", {"n": 2})
    client.meter("t", "acme", {"n": 3})
    [segment] = files(tmp_path)
    assert segment.read_bytes().count(b"\n") == 2
    client.close()
    counters = client.counters()
    assert (gate.numbers, counters.accepted, counters.dropped) == ([1, 3], 2, 1)


def test_a_folder_that_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(SpoolError):
        client_at(Gate(), taken, [])


PROGRAM = """
import sys
from meterline_client import *
url, folder, fsync = sys.argv[1:]
options = Options(
    spool=Spool(folder, fsync=fsync),
    batching=Batching(max_events=50, max_age_seconds=0.01),
    delivery_retry=Retry(base_seconds=0.001, cap_seconds=0.01),
    timeout_seconds=0.5,
)
client = Client(url, "ml_key", source="test", options=options)
for n in range(1_000_000):
    client.meter("t", "acme", {"n": n})
    print(n, flush=True)
"""


@pytest.mark.parametrize("fsync", ["never", "always"])
def test_a_killed_process_loses_nothing_that_it_was_told_is_metered(
    stub: Stub, url: str, tmp_path: Path, fsync: str
) -> None:
    stub.rate = 0.3
    command = [sys.executable, "-c", PROGRAM, url, str(tmp_path), fsync]
    environment = {**os.environ, "PYTHONPATH": SOURCES}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        acknowledged = [int(process.stdout.readline()) for _ in range(1500)][-1]
        process.send_signal(signal.SIGKILL)
        acknowledged = int((process.stdout.read().splitlines() or [acknowledged])[-1])
    left = sum(path.read_bytes().count(b"\n") for path in files(tmp_path))
    assert left > 0
    resending = replace(options(tmp_path), close_seconds=30.0, timeout_seconds=0.5)
    with Client(url, "ml_key", source="test", options=resending) as client:
        assert client.flush(30)
    stored = stub.store.tally()
    # The call that was cut short may have written its event, or not.
    assert stored["numbers"] in (acknowledged + 1, acknowledged + 2)
    assert stored["stored"] == stored["numbers"]
    assert files(tmp_path) == []
    assert client.counters().torn <= 1
