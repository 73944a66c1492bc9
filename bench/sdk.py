"""`python -m bench.sdk`: events through the Python client to an endpoint that fails on purpose.

Each event carries a number; the endpoint, in a process of its own, counts how often each number was
stored. Nothing is lost and nothing doubled if every number is there exactly once.
"""

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY / "clients" / "python" / "src"))

from meterline_client import Client, Counters, Options, Retry  # noqa: E402

HURRIED = Options(
    delivery_retry=Retry(40, base_seconds=0.005, cap_seconds=0.05, longest_wait_seconds=30.0),
    timeout_seconds=0.5,
    close_seconds=600.0,
)


@dataclass(frozen=True)
class Proof:
    """What was sent, what both sides counted, and what it cost this process."""

    sent: int
    counters: Counters
    tally: dict[str, Any]
    cpu_seconds: float
    metering_seconds: float
    seconds: float

    @property
    def lost(self) -> int:
        """Numbers that were never stored."""
        return self.sent - int(self.tally["numbers"])

    @property
    def doubled(self) -> int:
        """Events stored beyond one a number."""
        return int(self.tally["stored"] - self.tally["numbers"])


@contextmanager
def endpoint(rate: float, seed: int) -> Iterator[str]:
    """The address of a stub endpoint that fails at this rate, for as long as the block runs."""
    command = [sys.executable, "-m", "tests.sdk.stub_server", f"--rate={rate}", f"--seed={seed}"]
    with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout  # noqa: S101
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def read_tally(url: str) -> dict[str, Any]:
    """What the endpoint has stored."""
    with urllib.request.urlopen(f"{url}/tally") as answer:  # noqa: S310
        tally: dict[str, Any] = json.load(answer)
        return tally


def prove(events: int, rate: float, seed: int, options: Options = HURRIED) -> Proof:
    """Sends so many events, at this rate of failing requests, and counts on both sides."""
    with endpoint(rate, seed) as url:
        began, cpu = time.perf_counter(), time.process_time()
        with Client(url, "ml_stub", source="bench", options=options) as client:
            metering = time.thread_time()
            for number in range(events):
                client.meter("bench.event", "acme", {"n": number, "model": "large"})
            metering = time.thread_time() - metering
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        return Proof(events, client.counters(), read_tally(url), cpu, metering, seconds)


def report(proof: Proof) -> Iterator[tuple[str, str]]:
    """Each figure with its name."""
    tally, counters = proof.tally, proof.counters
    yield "events metered", f"{proof.sent:,}"
    yield "lost", f"{proof.lost:,}"
    yield "stored twice", f"{proof.doubled:,}"
    yield "the client: accepted + duplicates", f"{counters.accepted:,} + {counters.duplicates:,}"
    yield (
        "the client: dropped, failed, pending",
        (f"{counters.dropped}, {counters.failed}, {counters.pending}"),
    )
    yield "requests sent again", f"{counters.retried:,}"
    yield "events received, resends included", f"{tally['received']:,}"
    for fault, count in sorted(tally["faults"].items()):
        yield f"  {fault}", f"{count:,}"
    yield "seconds", f"{proof.seconds:.1f}"
    yield "CPU µs per event in meter()", f"{proof.metering_seconds / proof.sent * 1e6:.1f}"
    yield "CPU µs per event in all", f"{proof.cpu_seconds / proof.sent * 1e6:.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=0.3, help="share of requests that fail")
    parser.add_argument("--seed", type=int, default=7)
    arguments = parser.parse_args()
    # Smaller batches make more requests, and so more failures of each kind.
    options = replace(HURRIED, batching=replace(HURRIED.batching, max_events=250))
    proof = prove(arguments.events, arguments.rate, arguments.seed, options)
    for name, figure in report(proof):
        print(f"{name:<45} {figure:>22}")
    whole = proof.lost == proof.doubled == 0 and proof.counters.failed == 0
    print("Nothing lost, nothing doubled." if whole else "THE NUMBERS DO NOT AGREE.")
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
