"""The Python and the TypeScript client against the deployed stack."""

import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from meterline_client import Batching, Client, NotFoundError, Options, PermissionDeniedError
from tests.sdk.test_typescript import FOLDER, compiled, play


def wait_until(holds: Callable[[], bool]) -> None:
    # The first event starts the function; later ones take a fraction of a second.
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def counted(client: Client, customer: str) -> Callable[[], bool]:
    """Whether two messages of the customer are counted in this hour or the next."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

    def look() -> bool:
        try:
            usage = client.usage(
                "messages", customer=customer, start=hour, end=hour + timedelta(hours=2)
            )
        except NotFoundError:  # The customer is made when its first event is counted.
            return False
        return [row.value for row in usage.data] == [2]

    return look


def test_python_from_event_to_invoice(stack: dict[str, str]) -> None:
    customer = f"python-{uuid.uuid4().hex}"
    options = Options(batching=Batching(max_age_seconds=0.1))
    with Client(stack["url"], stack["ingest_key"], source="e2e", options=options) as client:
        client.meter("chat.message", customer, id="1")
        client.meter("chat.message", customer, id="2", time=datetime.now(UTC))
        client.flush()
        client.meter("chat.message", customer, id="1")
        client.flush()
        counters = client.counters()
        assert (counters.accepted, counters.duplicates, counters.failed) == (2, 1, 0)
    with Client(stack["url"], stack["read_key"], source="e2e") as reader:
        wait_until(counted(reader, customer))
        assert reader.upcoming_invoice(customer).status == "draft"
        with pytest.raises(PermissionDeniedError, match="forbidden"):
            reader.save_customer(customer, name="No")


def test_typescript_from_event_to_usage(stack: dict[str, str], tmp_path: Path) -> None:
    customer = f"node-{uuid.uuid4().hex}"
    module = compiled(FOLDER / "src", tmp_path)
    seen = play(module, stack["url"], stack["ingest_key"], customer, {"nested": []})
    assert seen["sent"] == {"accepted": 2, "duplicates": 1, "unmetered": 0}
    assert seen["again"] == {"accepted": 0, "duplicates": 1, "unmetered": 0}
    assert seen["refused"] == {"status": 422, "pointers": ["/0/data/nested"]}
    with Client(stack["url"], stack["read_key"], source="e2e") as reader:
        wait_until(counted(reader, customer))
