"""Every accepted event arrives in the archive of the deployed stack, once to whoever asks."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.client import Client
from local.demo.drive import Driver
from local.home import REPOSITORY
from tests.e2e.conftest import LocalStack

EVENTS = 250
# Files are gathered for two seconds; a loaded machine and a cold function take longer.
PATIENCE_SECONDS = 60


Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def meterline(local_stack: LocalStack, tmp_path: Path) -> Command:
    """The command line, with a folder of its own for what it downloads."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        "METERLINE_LOCAL_DIR": str(local_stack.home.path),
        "XDG_CACHE_HOME": str(tmp_path),
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def its_own_key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def test_events_are_archived_once_and_say_the_same_as_usage(
    stack: dict[str, str], meterline: Command
) -> None:
    customer = f"archived-{uuid.uuid4().hex}"
    client = Client(stack["url"], stack["admin_key"])
    events = [
        {
            "specversion": "1.0",
            "id": str(number),
            "source": "test",
            "type": "model.completion",
            "subject": customer,
            "data": {"tokens": f"{number}.000000001", "model": f"m{number % 3}"},
        }
        for number in range(EVENTS)
    ]
    for sent in (events[:100], events, events[200:]):  # Resends count once here as well.
        client.call("POST", "/v1/events", body=sent)

    def asked(query: str) -> list[dict[str, Any]]:
        answer = meterline("sql", query, "--output", "json")
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)

    count = f"SELECT id, count(*) AS n FROM events WHERE customer = '{customer}' GROUP BY id"
    deadline = time.monotonic() + PATIENCE_SECONDS
    while len(found := asked(count)) < EVENTS:
        assert time.monotonic() < deadline, f"{len(found)} of {EVENTS} are archived"
        time.sleep(1)
    assert {row["id"]: row["n"] for row in found} == {str(n): 1 for n in range(EVENTS)}

    tokens = "sum(CAST(element_at(properties, 'tokens') AS DECIMAL(38, 9)))"
    query = f"SELECT element_at(properties, 'model') AS model, {tokens} AS tokens FROM events "
    recounted = asked(f"{query} WHERE customer = '{customer}' GROUP BY 1")
    question = {"meter": "tokens", "customer": customer, "group_by": "model"}
    usage = client.call("GET", "/v1/usage", query=question)["data"]
    told = {row["group"]["model"]: Decimal(row["value"]) for row in usage}
    assert {row["model"]: Decimal(row["tokens"]) for row in recounted} == told
    assert len(told) == 3

    # Others' events may be on their way.
    while (checked := meterline("archive", "check")).returncode:
        assert time.monotonic() < deadline, checked.stdout + checked.stderr
    assert "equal" in checked.stdout


def test_an_invoice_is_proven_by_its_events_and_by_the_archive(
    stack: dict[str, str], meterline: Command, tmp_path: Path
) -> None:
    customer = f"proven-{uuid.uuid4().hex}"
    client = Client(stack["url"], stack["admin_key"])
    driver, start = Driver(client, client), datetime(2026, 1, 1, tzinfo=UTC)
    clock = driver.create_clock(start)
    client.call("PUT", f"/v1/customers/{customer}", body={"name": "P", "test_clock": clock})
    plan = {"action": "change", "plan": "pro"}
    client.call("POST", f"/v1/customers/{customer}/subscription", body=plan, headers=its_own_key())
    at = [(start + number * timedelta(hours=9)).isoformat() for number in range(60)]
    data = [{"tokens": 7 * number, "model": ("large", "small")[number % 2]} for number in range(60)]
    events = [
        {"specversion": "1.0", "id": str(number), "source": "test", "type": "model.completion"}
        | {"subject": customer, "time": at[number], "data": data[number]}
        for number in range(60)
    ]
    driver.advance(clock, start + timedelta(days=30))
    client.call("POST", "/v1/events", body=events[:50])
    cancelled = {"customer": customer, "source": "test", "id": "7", "cancel": True}
    client.call("POST", "/v1/events/correction", body=cancelled, headers=its_own_key())
    driver.advance(clock, start + timedelta(days=31, hours=1))
    client.call("POST", "/v1/events", body=events[50:])
    driver.advance(clock, start + timedelta(days=59, hours=1))
    invoices = client.call("GET", f"/v1/customers/{customer}/invoices")["data"]
    periods = [each for each in invoices if each["kind"] == "period"]
    counts = [
        (line["late"], line["events"]["count"])
        for invoice in periods
        for line in invoice["lines"]
        if line.get("meter") == "tokens" and line["type"] == "usage"
    ]
    assert sorted(counts) == [(False, 24), (False, 25), (True, 5), (True, 5)]

    deadline = time.monotonic() + PATIENCE_SECONDS
    count = f"SELECT count(*) AS n FROM archived_events WHERE customer = '{customer}'"
    while json.loads(meterline("sql", count, "--output", "json").stdout)[0]["n"] < 61:
        assert time.monotonic() < deadline
        time.sleep(1)
    for number, invoice in enumerate(periods):
        exports = (["invoice", "export"], ["events", "export", "--invoice"])
        files = [tmp_path / f"invoice{number}.json", tmp_path / f"events{number}.ndjson"]
        for file, export in zip(files, exports, strict=True):
            file.write_text(meterline(*export, invoice["id"]).stdout)
        for proof in (files[1], tmp_path / "meterline"):
            verified = meterline("verify", str(files[0]), str(proof))
            assert verified.stdout.startswith("EQUAL"), verified.stdout + verified.stderr
