"""Every accepted event arrives in the archive of the deployed stack, once to whoever asks."""

import json
import os
import subprocess
import sys
import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

from cli.client import Client
from local.home import REPOSITORY
from tests.e2e.conftest import LocalStack

EVENTS = 250
# Files are gathered for two seconds; a loaded machine and a cold function take longer.
PATIENCE_SECONDS = 60


def test_events_are_archived_once_and_say_the_same_as_usage(
    stack: dict[str, str], local_stack: LocalStack, tmp_path: Path
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

    def meterline(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "METERLINE_LOCAL_DIR": str(local_stack.home.path),
            "XDG_CACHE_HOME": str(tmp_path),
        }
        return subprocess.run(
            [sys.executable, "-m", "cli", *arguments],
            cwd=REPOSITORY,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

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
