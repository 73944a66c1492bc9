"""The Python client against the API's real handlers on a real DynamoDB engine."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from functions import api as api_function
from functions import ingest
from functions._http import Router
from local.emulator import Aws
from meterline_client import (
    Batching,
    Client,
    ConflictError,
    Failure,
    InsufficientBalanceError,
    InvalidRequestError,
    NotFoundError,
    Options,
    Problem,
    Retry,
)
from tests.integration.api import Api, publish_catalogue
from tests.integration.conftest import Tables
from tests.unit.http.events import api_event

ROUTER = Router([ingest.router, api_function.router])


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    api = Api(aws, tables)
    api.clock.at = datetime.now(UTC)
    publish_catalogue(api)
    return api


@pytest.fixture
def failures() -> list[Failure]:
    return []


@pytest.fixture
def client(api: Api, failures: list[Failure]) -> Iterator[Client]:
    """The client, its requests handed to the functions as API Gateway would."""

    def serve(request: httpx.Request) -> httpx.Response:
        event = api_event(
            request.method,
            request.url.path,
            request.content or None,
            query=request.url.query.decode(),
            headers=dict(request.headers),
        )
        answer = ROUTER.serve(event, lambda: api.runtime)
        return httpx.Response(answer["statusCode"], headers=answer["headers"], text=answer["body"])

    options = Options(batching=Batching(max_age_seconds=60), call_retry=Retry(1))
    with Client(
        "http://api",
        "ml_key",
        source="app",
        options=options,
        on_failure=failures.append,
        transport=httpx.MockTransport(serve),
    ) as client:
        yield client


def test_the_good_events_of_a_batch_are_stored_and_the_bad_handed_over(
    api: Api, client: Client, failures: list[Failure]
) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=90)
    client.meter("ai.completion", "batch", {"tokens": Decimal("1.5"), "model": "large"})
    client.meter("ai.completion", "batch", {"tokens": "many"})
    client.meter("chat.message", "batch", time=long_ago)
    client.meter("chat.message", "batch", {"lone": "\ud800"})
    client.meter("chat.message", "batch", id="twice")
    client.meter("nothing.reads.it", "batch")
    assert client.flush(30)
    assert [f.problems for f in sorted(failures, key=lambda f: f.event["time"])] == [
        (Problem("/time", "too-old"),),
        (Problem("/data/tokens", "not-a-number"),),
        (Problem("/data/lone", "lone-surrogate"),),
    ]
    assert {type(f.error) for f in failures} == {InvalidRequestError}
    client.meter("chat.message", "batch", id="twice")
    assert client.flush(30)
    client.meter("chat.message", "batch", {"changed": True}, id="twice")
    client.meter("chat.message", "batch", id="beside it")
    assert client.flush(30)
    assert isinstance(failures[-1].error, ConflictError)
    assert failures[-1].problems == (Problem("", "differs-from-stored"),)
    counters = client.counters()
    assert (counters.accepted, counters.duplicates, counters.unmetered) == (4, 1, 1)
    assert (counters.failed, counters.pending) == (4, 0)
    listed = api.get("/v1/events", query="customer=batch")["data"]
    assert len(listed) == 4
    assert {event["source"] for event in listed} == {"app"}


def test_what_the_client_asks_is_answered(api: Api, client: Client) -> None:
    with pytest.raises(NotFoundError):
        client.customer("asker")
    saved = client.save_customer("asker", name="Asker", traits={"tier": "gold"})
    assert client.customer("asker") == saved
    assert (saved.key, saved.timezone, saved.traits) == ("asker", "UTC", {"tier": "gold"})
    assert client.subscription("asker").plan == "free"
    assert client.change_plan("asker", "pro", at="now").plan == "pro"
    cancelled = client.cancel_plan("asker")
    assert cancelled.next_change is not None
    assert cancelled.next_change.plan == "free"
    now = api.clock.at
    api.use("asker", "ai.completion", now, tokens=1200, model="large")
    hour = now.replace(minute=0, second=0, microsecond=0)
    usage = client.usage(
        "tokens",
        customer="asker",
        start=hour,
        end=hour + timedelta(hours=1),
        window="hour",
        group_by=("model",),
    )
    assert [(r.start, r.value, r.group) for r in usage.data] == [(hour, 1200, {"model": "large"})]
    invoice = client.upcoming_invoice("asker")
    assert (invoice.customer, invoice.currency, invoice.number) == ("asker", "USD", None)
    [line] = [line for line in invoice.lines if line.meter == "tokens" and line.quantity]
    assert (line.quantity, line.unit) == (1200, "USD")
    assert 0 < line.amount <= Decimal("1.20")
    assert invoice.total == sum(line.amount for line in invoice.lines)
    api.post(
        "/v1/customers/asker/grants",
        {"unit": "sparks", "amount": "2.5", "source": "promotion"},
        key="grant",
    )
    assert client.entitled("asker", "messages")
    assert not client.entitled("asker", "teleport")
    with client.reserve("asker", "sparks", "2", meter="messages", ttl_seconds=60) as reservation:
        assert client.balance("asker", "sparks").available == Decimal("0.5")
        with pytest.raises(InsufficientBalanceError), client.reserve("asker", "sparks", 1):
            pytest.fail("the balance does not cover it")
        reservation.settle("0.75")
    with client.reserve("asker", "sparks", "1.75"):
        assert client.balance("asker", "sparks").available == 0
    balance = client.balance("asker", "sparks")
    assert (balance.available, balance.reserved) == (Decimal("1.75"), 0)
    assert [grant.source for grant in balance.grants] == ["promotion"]
