"""`python -m tests.sdk.stub_server`: an events endpoint in a process of its own, and a bad one.

It keeps what the real one promises (an identity is stored once, all or nothing on 422, outcomes on
409 and 503) and lets a chosen share of requests fail in every way a network can. It prints its
port, and tells at /tally what it has stored.
"""

import argparse
import gzip
import hashlib
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = (
    "reset-before-storing",
    "lost-reply",
    "truncated-reply",
    "partly-stored",
    "too-many-requests",
    "unavailable",
    "slow",
    "too-slow",
    "not-the-api",
)
SLOW_SECONDS = 0.02
TOO_SLOW_SECONDS = 0.6  # longer than the client waits


class Store:
    """What was stored: identities with fingerprints, and how often each number came new."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._prints: dict[bytes, int] = {}
        self.numbers: Counter[int] = Counter()
        self.received = 0

    def put(self, events: list[dict[str, Any]]) -> list[str]:
        """Stores each event unless its identity is taken; the outcome of each."""
        with self._lock:
            self.received += len(events)
            return [self._put(event) for event in events]

    def _put(self, event: dict[str, Any]) -> str:
        identity = json.dumps([event["subject"], event["source"], event["id"]]).encode()
        key = hashlib.blake2b(identity, digest_size=16).digest()
        content = hash(json.dumps([event["type"], event["data"]], sort_keys=True))
        if key in self._prints:
            return "duplicate" if self._prints[key] == content else "conflict"
        self._prints[key] = content
        self.numbers[event["data"].get("n", -1)] += 1
        return "accepted"

    def tally(self) -> dict[str, int]:
        """Counts over everything stored."""
        with self._lock:
            return {
                "stored": len(self._prints),
                "numbers": len(self.numbers),
                "numbers_sum": sum(self.numbers),
                "most_of_one_number": max(self.numbers.values(), default=0),
                "received": self.received,
            }


class Stub(ThreadingHTTPServer):
    """The server: `rate` of the requests fail, drawn from the seed."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, rate: float, seed: int, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.store = Store()
        self.rate = rate
        self.random = random.Random(seed)
        self.faults: Counter[str] = Counter()

    def draw(self) -> str:
        """The fault of the next request; empty for none."""
        fault = self.random.choice(FAULTS) if self.random.random() < self.rate else ""
        self.faults[fault] += bool(fault)
        return fault

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Stub

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""

    def do_GET(self) -> None:
        faults = {name: count for name, count in self.server.faults.items() if count}
        self.answer(200, {**self.server.store.tally(), "faults": faults})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        events = [{"data": {}, **event} for event in json.loads(body)]
        bad = [place for place, event in enumerate(events) if event["data"].get("bad")]
        fault = self.server.draw()
        if fault:
            self.fail(fault, events)
        elif bad:
            problems = [{"pointer": f"/{place}/data/bad", "code": "refused"} for place in bad]
            self.answer(422, {"code": "validation", "errors": problems})
        else:
            self.answer_outcomes(self.server.store.put(events))

    def answer_outcomes(self, outcomes: list[str]) -> None:
        counts = Counter(outcomes)
        if counts["conflict"]:
            places = [place for place, outcome in enumerate(outcomes) if outcome == "conflict"]
            problems = [{"pointer": f"/{place}", "code": "differs-from-stored"} for place in places]
            self.answer(409, {"code": "conflict", "errors": problems, "outcomes": outcomes})
        else:
            self.answer(200, counted(counts))

    def fail(self, fault: str, events: list[dict[str, Any]]) -> None:
        store = self.server.store
        good = [event for event in events if not event["data"].get("bad")]
        if fault == "reset-before-storing":
            self.reset()
        elif fault == "lost-reply":
            store.put(good)
            self.reset()
        elif fault == "truncated-reply":
            text = json.dumps(counted(Counter(store.put(good)))).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text[:-9])
            self.close_connection = True
        elif fault == "partly-stored":
            outcomes = store.put(events[: len(events) // 2] if good == events else [])
            outcomes += ["unknown"] * (len(events) - len(outcomes))
            self.answer(503, {"code": "unavailable", "outcomes": outcomes}, **{"Retry-After": "0"})
        elif fault == "too-many-requests":
            self.answer(429, {"code": "too-many-requests"}, **{"Retry-After": self.wait_text()})
        elif fault == "unavailable":
            self.answer(502, None)
        elif fault == "not-the-api":
            self.answer(200, {"welcome": "please sign in to this network"})
        else:
            outcomes = store.put(good)
            time.sleep(SLOW_SECONDS if fault == "slow" else TOO_SLOW_SECONDS)
            if good == events:
                self.answer_outcomes(outcomes)
            else:
                self.answer(503, None)

    def wait_text(self) -> str:
        """Retry-After in one of its two forms."""
        if self.server.random.random() < 0.9:
            return "0"
        return format_datetime(datetime.now(UTC) + timedelta(seconds=1), usegmt=True)

    def answer(self, status: int, document: object, **headers: str) -> None:
        text = b"" if document is None else json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def reset(self) -> None:
        """Hangs up with a TCP reset."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def counted(counts: Counter[str]) -> dict[str, int]:
    """The answer to a request of which everything is stored."""
    return {
        "accepted": counts["accepted"],
        "duplicates": counts["duplicate"] + counts["conflict"],
        "unmetered": 0,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=0.0, help="share of requests that fail")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with Stub(arguments.rate, arguments.seed) as stub:
        print(stub.server_address[1], flush=True)
        stub.serve_forever()


if __name__ == "__main__":
    main()
