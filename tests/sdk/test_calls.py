"""The calls of both clients, against a stub that answers as the API does or will."""

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from meterline_client import (
    ApiError,
    AsyncClient,
    AuthenticationError,
    Client,
    ConflictError,
    InsufficientBalanceError,
    InvalidRequestError,
    MeterlineError,
    NotFoundError,
    Options,
    PermissionDeniedError,
    Problem,
    RateLimitedError,
    Retry,
    ServerError,
    UnreachableError,
)
from meterline_client.errors import ApiError as AnyApiError

QUICK = Options(call_retry=Retry(3, base_seconds=0.001))


class Balances:
    """Entitlements and reservations of one customer that holds ten sparks."""

    def __init__(self) -> None:
        self.available = Decimal(10)
        self.settled = Decimal(10)
        self.held: dict[str, Decimal] = {}
        self.answers: dict[str, httpx.Response] = {}
        self.requests: list[httpx.Request] = []
        self.lose = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answer(request)
        if self.lose:
            self.lose -= 1
            raise httpx.ReadError("the reply is lost")
        return answer

    def _answer(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.split("/")
        if parts[4] == "entitlements":
            remaining = {"limit": "10", "used": "3", "remaining": "7", "reason": None}
            resets_at = "2026-04-01T00:00:00Z"
            allowed = parts[5] == "export"
            return httpx.Response(
                200, json={"allowed": allowed, **remaining, "resets_at": resets_at}
            )
        key = request.headers["idempotency-key"]
        if key not in self.answers:
            self.answers[key] = self._write(parts[5:], json.loads(request.content))
        return self.answers[key]

    def _write(self, parts: list[str], body: dict[str, Any]) -> httpx.Response:
        if not parts:
            amount = Decimal(body["amount"])
            if amount > self.available:
                return httpx.Response(402, json={"code": "insufficient-balance"})
            held = f"res_{len(self.held)}"
            self.available -= amount
            self.held[held] = amount
            return httpx.Response(201, json={"id": held, "amount": body["amount"]})
        drawn = Decimal(body["amount"]) if parts[1] == "settle" else Decimal(0)
        self.available += self.held.pop(parts[0]) - drawn
        self.settled -= drawn
        return httpx.Response(200, json={})


@pytest.fixture
def balances() -> Balances:
    return Balances()


def client_of(handler: Any) -> Client:
    transport = httpx.MockTransport(handler)
    return Client("http://stub", "ml_key", source="test", transport=transport, options=QUICK)


def test_a_reservation_is_settled_with_what_was_used(balances: Balances) -> None:
    with client_of(balances) as client:
        with client.reserve("acme", "spark", "6", meter="tokens", ttl_seconds=60) as reservation:
            assert balances.available == 4
            reservation.settle(Decimal("2.5"))
        assert (balances.available, balances.settled, balances.held) == (7.5, 7.5, {})
    sent = json.loads(balances.requests[0].content)
    assert sent == {"unit": "spark", "amount": "6", "meter": "tokens", "ttl_seconds": 60}


def test_a_reservation_that_is_not_settled_is_released(balances: Balances) -> None:
    with client_of(balances) as client:
        with client.reserve("acme", "spark", 6):
            pass
        assert (balances.available, balances.held) == (10, {})
        with pytest.raises(ZeroDivisionError), client.reserve("acme", "spark", 6):
            1 / 0  # noqa: B018
        assert (balances.available, balances.settled, balances.held) == (10, 10, {})


def test_what_the_balance_does_not_cover_is_not_reserved(balances: Balances) -> None:
    with (
        client_of(balances) as client,
        pytest.raises(InsufficientBalanceError) as refused,
        client.reserve("acme", "spark", 11),
    ):
        raise AssertionError
    assert refused.value.code == "insufficient-balance"


def test_a_lost_reply_reserves_once(balances: Balances) -> None:
    balances.lose = 2
    with client_of(balances) as client, client.reserve("acme", "spark", 3):
        assert (balances.available, len(balances.held)) == (7, 1)
    assert balances.available == 10
    keys = [request.headers["idempotency-key"] for request in balances.requests]
    assert [keys.count(key) for key in dict.fromkeys(keys)] == [3, 1]


def test_entitlements(balances: Balances) -> None:
    with client_of(balances) as client:
        assert client.entitled("acme", "export")
        assert not client.entitled("acme", "teleport")
        found = client.entitlement("acme", "export")
        assert (found.limit, found.used, found.remaining) == (10, 3, 7)
        assert found.resets_at == datetime(2026, 4, 1, tzinfo=UTC)
        balances.lose = 6
        assert client.entitled("acme", "export", default=True)
        with pytest.raises(UnreachableError):
            client.entitled("acme", "export")


def test_the_asynchronous_client_asks_the_same(balances: Balances) -> None:
    async def play() -> None:
        transport = httpx.MockTransport(balances)
        async with AsyncClient(
            "http://stub", "ml_key", source="test", transport=transport, options=QUICK
        ) as client:
            async with client.reserve("acme", "spark", 6) as reservation:
                await reservation.settle("2.5")
            assert balances.settled == 7.5
            with pytest.raises(ZeroDivisionError):
                async with client.reserve("acme", "spark", 6):
                    1 / 0  # noqa: B018
            assert (balances.available, balances.held) == (7.5, {})
            assert await client.entitled("acme", "export")
            balances.lose = 6
            assert not await client.entitled("acme", "export", default=False)
            with pytest.raises(UnreachableError):
                await client.entitled("acme", "export")

    asyncio.run(play())


def test_amounts_are_exact() -> None:
    with client_of(Balances()) as client, pytest.raises(TypeError, match="float"):
        client.reserve("acme", "spark", 0.1).__enter__()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, InsufficientBalanceError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (412, ApiError),
        (422, InvalidRequestError),
        (429, RateLimitedError),
        (503, ServerError),
    ],
)
def test_refusals_have_types(status: int, kind: type[AnyApiError]) -> None:
    problem = {
        "status": status,
        "code": "some-code",
        "detail": "Why.",
        "instance": "urn:request:1",
        "errors": [{"pointer": "/unit", "code": "unknown"}],
    }
    with (
        client_of(lambda request: httpx.Response(status, json=problem)) as client,
        pytest.raises(kind, match=f"{status} some-code: Why.") as refused,
    ):
        client.customer("acme")
    error = refused.value
    assert (type(error), error.status, error.instance) == (kind, status, "urn:request:1")
    assert error.problems == (Problem("/unit", "unknown"),)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"errors": [7, {"pointer": 1}]}', b"7"])
def test_a_refusal_without_a_problem_document_is_one_all_the_same(body: bytes) -> None:
    with (
        client_of(lambda request: httpx.Response(403, content=body)) as client,
        pytest.raises(PermissionDeniedError, match="403"),
    ):
        client.customer("acme")


def test_an_answer_of_another_shape_is_an_error() -> None:
    with client_of(lambda request: httpx.Response(200, json={"allowed": "yes"})) as client:
        with pytest.raises(MeterlineError, match="no Entitlement"):
            client.entitlement("acme", "export")
        with pytest.raises(MeterlineError, match="no Balance"):
            client.balance("acme", "USD")


def test_paths_carry_any_key() -> None:
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append((request.method, request.url.raw_path.decode()))
        return httpx.Response(404)

    with client_of(handler) as client:
        for key in ("a b", "a/b?c", "é"):
            with pytest.raises(NotFoundError):
                client.customer(key)
        with pytest.raises(NotFoundError):
            client.usage("tokens", customer="a&b", start=datetime(2026, 3, 1, tzinfo=UTC))
        with pytest.raises(ValueError, match="timezone"):
            client.usage("tokens", start=datetime(2026, 3, 1))  # noqa: DTZ001
    assert seen == [
        ("GET", "/v1/customers/a%20b"),
        ("GET", "/v1/customers/a%2Fb%3Fc"),
        ("GET", "/v1/customers/%C3%A9"),
        (
            "GET",
            (
                "/v1/usage?meter=tokens&customer=a%26b&from=2026-03-01T00%3A00%3A00%2B00%3A00"
                "&window=total&timezone=UTC"
            ),
        ),
    ]
