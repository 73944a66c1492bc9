"""Portal sessions: a link that is signed in as one customer, for a while."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from functions.routes.portal import router
from shared.domain.errors import NotFoundError
from shared.services.portal_tokens import PortalTokens
from tests.unit.http.events import api_event

HOST = "a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com"


class RealClock:
    """Tokens are checked against the machine's time."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class Books:
    """One customer is known."""

    def customer(self, key: str) -> None:
        if key != "acme":
            raise NotFoundError


TOKENS = PortalTokens(b"s" * 64, RealClock())


def create(body: Any, **more: Any) -> tuple[int, dict[str, Any]]:
    runtime = SimpleNamespace(portal_tokens=TOKENS, books=Books())
    event = api_event("POST", "/v1/portal/sessions", body, **more)
    answer = router.serve(event, lambda: runtime)
    return answer["statusCode"], json.loads(answer["body"])


def test_a_session() -> None:
    status, session = create({"customer": "acme", "ttl_seconds": 600})
    assert status == 200
    assert TOKENS.customer(session["token"]) == "acme"
    assert session["url"] == f"https://{HOST}/portal#token={session['token']}"
    lifetime = datetime.fromisoformat(session["expires_at"]) - datetime.now(UTC)
    assert 590 < lifetime.total_seconds() <= 600


def test_nobody_signs_in_who_is_not_known() -> None:
    assert create({"customer": "nope"})[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"customer": ""},
        {"customer": "acme", "ttl_seconds": 59},
        {"customer": "acme", "ttl_seconds": 86_401},
        {"customer": "acme", "ttl_seconds": True},
        {"customer": "acme", "ttl_seconds": "600"},
        {"customer": "acme", "scope": "admin"},
    ],
)
def test_refused(body: dict[str, Any]) -> None:
    assert create(body)[0] == 422


def test_only_an_admin_signs_customers_in() -> None:
    assert create({"customer": "acme"}, scopes="read")[0] == 403
    assert create({"customer": "acme"}, scopes="portal", customer="acme")[0] == 403
