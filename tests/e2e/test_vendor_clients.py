"""Other vendors' own packages, unmodified, against the deployed stack: only the address is ours."""

import json
import subprocess
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cli.client import ApiError, Client
from local.home import REPOSITORY

SCRIPTS = Path(__file__).parent / "vendor_clients"
PYTHON = REPOSITORY / ".venv-peers" / "bin" / "python"


@pytest.fixture(scope="module")
def client(stack: dict[str, str]) -> Client:
    made = Client(stack["url"], stack["admin_key"])
    meter = {"event_type": "vendor.units", "aggregation": "sum", "value": "value"}
    made.call("PUT", "/v1/meters/vendor_units", body={**meter, "dimensions": ["model"]})
    return made


def drive(command: list[str], stack: dict[str, str], run: str) -> Any:
    """What the script's clients gave back."""
    played = subprocess.run(
        [*command, stack["url"], stack["admin_key"], run],
        cwd=SCRIPTS,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert played.returncode == 0, played.stderr
    return json.loads(played.stdout.splitlines()[-1])


def wait_for_totals(client: Client, expected: dict[str, str]) -> None:
    """Returns once each customer's usage is as expected."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    span = {
        "from": f"{hour - timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}",
        "to": f"{hour + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
    }

    def total(customer: str) -> str | None:
        query = {"meter": "vendor_units", "customer": customer, "window": "total", **span}
        try:
            [row] = client.call("GET", "/v1/usage", query=query)["data"] or [{"value": None}]
        except ApiError as error:
            if error.status != 404:  # The customer is made when its first event is counted.
                raise
            return None
        value: str | None = row["value"]
        return value

    deadline = time.monotonic() + 30
    while (found := {customer: total(customer) for customer in expected}) != expected:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


def test_python_clients(stack: dict[str, str], client: Client) -> None:
    run = uuid.uuid4().hex[:8]
    found = drive([str(PYTHON), "-W", "ignore", "all.py"], stack, run)
    assert found["openmeter"] == {"window": "HOUR", "csv": "window_start"}
    amberflo = found["amberflo"]
    assert amberflo.pop("portal").startswith(f"{stack['url']}/portal#token=")
    assert amberflo == {
        "sent": "2 records were ingested",
        "failures": [],
        "saved": ["Amber", "Amber"],
        "listed": True,
        "worth": [12.5],
        "cards": 1,
        "report": ["clientMeters", "metadata", "secondsSinceEpochIntervals"],
        "reports": 2,
        "invoice": "open",
    }
    there = {"transaction_id": ["value_already_exist"]}
    assert found["lago"] == {
        "made": f"{run}-1",
        "refused": [[422, there], [422, {"1": there}]],
        "found": f"lago-{run}",
    }
    assert found["stripe"] == {
        "first": "1",
        "second": "v2.billing.meter_event",
        "refused": ["timestamp_too_far_in_past", "timestamp"],
    }
    totals = {"openmeter-": "3", "amberflo-": "4", "lago-": "3", "cus_": "6"}
    wait_for_totals(client, {f"{vendor}{run}": total for vendor, total in totals.items()})


def test_javascript_clients(stack: dict[str, str], client: Client) -> None:
    run = uuid.uuid4().hex[:8]
    found = drive(["node", "all.mjs"], stack, run)
    assert found == {
        "openmeter": "DAY",
        "lago": [f"js-{run}", {"transaction_id": ["value_already_exist"]}, "vendor.units"],
        "stripe": ["billing.meter_event", "v2.billing.meter_event", True],
    }
    totals = {"openmeter-": "9", "lago-": "4", "cus_": "8"}
    wait_for_totals(client, {f"{vendor}{run}": total for vendor, total in totals.items()})
