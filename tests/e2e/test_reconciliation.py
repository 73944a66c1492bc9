"""Reconciliation on the deployed stack: by its schedule's function and queue, and on demand."""

import json
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from cli.client import ApiError, Client
from functions.start_reconciliation import hour_of_day
from local.deploy import outputs
from local.emulator import Aws

PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
def client(stack: dict[str, str]) -> Client:
    return Client(stack["url"], stack["admin_key"])


@pytest.fixture(scope="module")
def customer(client: Client) -> str:
    """A customer whose events are all counted."""
    key = f"judged-{uuid.uuid4().hex[:8]}"
    client.call("PUT", f"/v1/customers/{key}", body={})
    events = [
        {
            "specversion": "1.0",
            "id": f"m{n}",
            "source": "reconciliation",
            "type": "chat.message",
            "subject": key,
            "data": {},
        }
        for n in range(20)
    ]
    client.call("POST", "/v1/events", body=events)
    return key


def eventually(look: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


def test_a_pass_on_demand_finds_everything_right(client: Client, customer: str) -> None:
    def judged() -> Any:
        """Everything, once the stream has come through."""
        try:
            return client.call("POST", f"/v1/reconciliation/{customer}")
        except ApiError as error:
            if error.status != 503:
                raise
            return None

    result = {"finished": True, "repaired": 0, "spanned": 0, "findings": []}
    assert eventually(judged) == result
    time.sleep(6)  # Now the events are old enough to be judged by.
    assert eventually(judged) == result
    assert client.call("GET", f"/v1/reconciliation/{customer}")["clean_at"]


def test_the_schedules_function_has_its_customers_reconciled(
    stack: dict[str, str], client: Client, customer: str
) -> None:
    before = datetime.now(UTC)
    aws = Aws(stack["aws_endpoint"])
    at = before.replace(hour=hour_of_day(customer)).isoformat()
    started = aws.client("lambda").invoke(
        FunctionName=outputs(aws)["StartReconciliationFunctionName"],
        Payload=json.dumps({"scheduled_at": at}).encode(),
    )
    assert json.loads(started["Payload"].read())["ordered"] >= 1

    def checked() -> bool:
        note = client.call("GET", f"/v1/reconciliation/{customer}")
        checked_at = note["checked_at"] and datetime.fromisoformat(note["checked_at"])
        return bool(checked_at and checked_at >= before and note["findings"] == [])

    assert eventually(checked)
