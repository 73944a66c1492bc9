"""`up` and `down`: what they promise to whoever types them."""

import os
import signal
import socket
import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
import urllib3

from cli.client import ApiError, Client
from local import processes
from local.deploy import outputs
from local.emulator import Aws
from tests.e2e.conftest import LocalStack

KEYS = ["admin_key", "aws_endpoint", "console_url", "ingest_key", "portal_url", "read_key", "url"]


def process_ids(local_stack: LocalStack) -> list[int]:
    found = [processes.running(local_stack.home.process(name)) for name in ("emulator", "serve")]
    return [process.pid for process in found if process]


def test_it_says_where_everything_is(stack: dict[str, str], local_stack: LocalStack) -> None:
    assert sorted(stack) == KEYS
    assert stack["url"] == f"http://127.0.0.1:{local_stack.port}"
    assert urllib3.request("GET", f"{stack['url']}/v1/openapi.json").status == 200


def test_a_second_up_changes_nothing_and_says_the_same(
    stack: dict[str, str], local_stack: LocalStack
) -> None:
    before = process_ids(local_stack)
    again = local_stack.command("up")
    assert (again.returncode, process_ids(local_stack)) == (0, before)
    assert local_stack.up() == stack
    assert all(address in again.stdout for address in stack.values())


@pytest.mark.usefixtures("stack")
def test_a_port_that_is_taken_is_named_with_the_way_out(local_stack: LocalStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        refused = local_stack.command("up", PORT=str(port))
    assert refused.returncode == 1
    assert f"port {port} is taken" in refused.stderr
    assert "PORT=" in refused.stderr
    assert len(process_ids(local_stack)) == 2


def test_an_event_reaches_usage_through_a_tumbling_window(stack: dict[str, str]) -> None:
    """Aggregation refuses batches without a window, so what is counted came in one."""
    client = Client(stack["url"], stack["admin_key"])
    event = {
        "specversion": "1.0",
        "id": uuid.uuid4().hex,
        "source": "test",
        "type": "chat.message",
        "subject": f"window-{uuid.uuid4().hex}",
        "data": {},
    }
    client.call("POST", "/v1/events", body=event)
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    query = {
        "meter": "messages",
        "customer": event["subject"],
        "from": f"{hour:%Y-%m-%dT%H:%M:%SZ}",
        "to": f"{hour + timedelta(hours=2):%Y-%m-%dT%H:%M:%SZ}",
        "window": "total",
    }

    def counted() -> bool:
        try:
            data = client.call("GET", "/v1/usage", query=query)["data"]
        except ApiError as error:
            if error.status != 404:  # The customer is made when its first event is counted.
                raise
            return False
        return [row["value"] for row in data] == ["1"]

    # The first event starts the function; later ones take a fraction of a second.
    deadline = time.monotonic() + 30
    while not counted():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_data_survive_down_and_up(stack: dict[str, str], local_stack: LocalStack) -> None:
    aws = Aws(stack["aws_endpoint"])
    item = {"pk": {"S": "probe"}, "sk": {"S": "probe"}}
    table = outputs(aws)["BillingTableName"]
    aws.client("dynamodb").put_item(TableName=table, Item=item)
    assert local_stack.command("down").returncode == 0
    assert process_ids(local_stack) == []
    assert local_stack.up() == stack
    assert aws.client("dynamodb").get_item(TableName=table, Key=item)["Item"] == item
    assert outputs(aws)["BillingTableName"] == table


def test_up_mends_what_was_killed(stack: dict[str, str], local_stack: LocalStack) -> None:
    [emulator, served] = process_ids(local_stack)
    os.kill(emulator, signal.SIGKILL)
    assert local_stack.up() == stack
    [new_emulator, new_served] = process_ids(local_stack)
    assert new_emulator != emulator
    assert new_served != served
