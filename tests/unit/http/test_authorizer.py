"""Who is calling: every doubtful credential makes a caller nobody, never an error."""

import base64
import copy
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from functions import authorizer
from shared.domain.errors import InvalidError, NotFoundError
from shared.services.api_keys import ApiKey, ApiKeys
from shared.services.portal_tokens import PortalTokens, SessionTokens
from tests.unit.http.events import AUTHORIZER_REQUEST

SIGNING_KEY = b"s" * 64


class FakeClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class MemoryKeys:
    """An ApiKeyStore in memory."""

    def __init__(self) -> None:
        self.keys: dict[str, ApiKey] = {}

    def get(self, key_id: str) -> ApiKey | None:
        return self.keys.get(key_id)

    def put_new(self, key: ApiKey) -> None:
        self.keys[key.id] = key

    def revoke(self, key_id: str, at: datetime) -> None:
        if key_id not in self.keys:
            raise NotFoundError(key_id)
        self.keys[key_id] = replace(self.keys[key_id], revoked_at=at)

    def set_rate_limit(self, key_id: str, rate_limit: int | None) -> None:
        if key_id not in self.keys:
            raise NotFoundError(key_id)
        self.keys[key_id] = replace(self.keys[key_id], rate_limit=rate_limit)

    def all(self) -> list[ApiKey]:
        return sorted(self.keys.values(), key=lambda key: key.id)


class FakeRuntime:
    """The services that resolve credentials."""

    def __init__(self) -> None:
        self.store = MemoryKeys()
        self.api_keys = ApiKeys(self.store, b"h" * 32, "prod", FakeClock())
        self.portal_tokens = PortalTokens(SIGNING_KEY, FakeClock())
        self.session_tokens = SessionTokens(SIGNING_KEY, FakeClock())


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> FakeRuntime:
    fake = FakeRuntime()
    monkeypatch.setattr(authorizer, "runtime", lambda: fake)
    return fake


def caller(**headers: str) -> dict[str, str]:
    """The context for a request with these headers in place of the recorded credential."""
    event = copy.deepcopy(AUTHORIZER_REQUEST)
    del event["headers"]["authorization"]
    event["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
    answer = authorizer.handler(event, None)
    assert answer["isAuthorized"] is True
    context: dict[str, str] = answer["context"]
    return context


def test_a_key_in_either_header(runtime: FakeRuntime) -> None:
    text = runtime.api_keys.create(["read", "ingest"], "a name")
    expected = {"principal": text.split("_")[2], "scopes": "ingest,read", "customer": ""}
    assert caller(authorization=f"Bearer {text}") == expected
    assert caller(authorization=f"bearer  {text}") == expected
    assert caller(x_api_key=text) == expected
    assert caller(authorization=f"Bearer {text}", x_api_key=text) == expected


def test_a_keys_limit_goes_with_it_and_with_its_sessions(runtime: FakeRuntime) -> None:
    text = runtime.api_keys.create(["ingest"], rate_limit=600)
    key_id = text.split("_")[2]
    session, _ = runtime.session_tokens.issue(key_id, timedelta(minutes=1))
    assert caller(x_api_key=text)["rate_limit"] == "600"
    assert caller(authorization=f"Bearer {session}")["rate_limit"] == "600"
    runtime.api_keys.limit(key_id, 60_000)
    assert caller(x_api_key=text)["rate_limit"] == "60000"
    runtime.api_keys.limit(key_id, None)
    assert "rate_limit" not in caller(x_api_key=text)


@pytest.mark.parametrize("rate_limit", [0, -1, 60_001])
def test_a_limit_out_of_bounds_is_refused(runtime: FakeRuntime, rate_limit: int) -> None:
    key_id = runtime.api_keys.create(["ingest"], rate_limit=1).split("_")[2]
    for change in (
        lambda: runtime.api_keys.create(["ingest"], rate_limit=rate_limit),
        lambda: runtime.api_keys.limit(key_id, rate_limit),
    ):
        with pytest.raises(InvalidError, match="1 to 60000 requests per minute"):
            change()
    assert [key.rate_limit for key in runtime.store.all()] == [1]


def test_only_a_hash_is_kept(runtime: FakeRuntime) -> None:
    text = runtime.api_keys.create(["admin"])
    [kept] = runtime.store.all()
    assert text.split("_")[3] not in repr(kept)


def test_doubtful_credentials_are_nobodys(runtime: FakeRuntime) -> None:
    text = runtime.api_keys.create(["admin"])
    other = runtime.api_keys.create(["admin"])
    altered = text[:-1] + ("0" if text[-1] != "0" else "1")
    for headers in [
        {},
        {"authorization": text},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {text}"},
        {"authorization": f"Bearer {text},Bearer {text}"},
        {"authorization": f"Bearer {text}, Bearer {other}"},
        {"authorization": f"Bearer {text}", "x_api_key": other},
        {"authorization": "Basic eDp5", "x_api_key": text},
        {"x_api_key": ""},
        {"x_api_key": altered},
        {"x_api_key": text.replace("ml_prod", "ml_local")},
        {"x_api_key": "ml_prod_" + "0" * 16 + "_" + "0" * 48},
        {"x_api_key": "ml_"},
        {"x_api_key": "\u00e9" * 50},
        {"authorization": "Bearer a.b.c"},
        {"authorization": "Bearer " + "x" * 8000},
    ]:
        assert caller(**headers) == authorizer.ANONYMOUS, headers


def test_a_revoked_key_is_nobodys(runtime: FakeRuntime) -> None:
    text = runtime.api_keys.create(["admin"])
    runtime.api_keys.revoke(text.split("_")[2])
    assert caller(x_api_key=text) == authorizer.ANONYMOUS


def test_a_portal_token_is_one_customers(runtime: FakeRuntime) -> None:
    token, expires_at = runtime.portal_tokens.issue("acme", timedelta(hours=1))
    expected = {"principal": "portal", "scopes": "portal", "customer": "acme"}
    assert caller(authorization=f"Bearer {token}") == expected
    assert expires_at > datetime.now(UTC)


def signed(claims: dict[str, object], key: bytes = SIGNING_KEY, algorithm: str = "HS256") -> str:
    return jwt.encode(claims, key, algorithm=algorithm)


def unsigned(header: dict[str, str], claims: dict[str, object]) -> str:
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()) for part in (header, claims)]
    return ".".join(part.decode().rstrip("=") for part in parts) + "."


def test_forged_tokens_are_nobodys(runtime: FakeRuntime) -> None:
    later = int(datetime.now(UTC).timestamp()) + 3600
    good: dict[str, object] = {"aud": "portal", "customer": "acme", "exp": later}
    assert caller(authorization=f"Bearer {signed(good)}")["customer"] == "acme"
    for token in [
        unsigned({"alg": "none", "typ": "JWT"}, good),
        unsigned({"alg": "none"}, good) + "x",
        unsigned({"alg": "HS256"}, good),
        signed(good, b"x" * 64),
        signed(good, SIGNING_KEY, "HS384"),
        signed({**good, "exp": later - 7200}),
        signed({**good, "aud": "cursor"}),
        signed({"aud": "portal", "customer": "acme"}),
        signed({"aud": "portal", "exp": later}),
        signed({**good, "customer": ""}),
        signed({**good, "customer": ["acme"]}),
    ]:
        assert caller(authorization=f"Bearer {token}") == authorizer.ANONYMOUS, token


def test_a_session_sends_events_as_long_as_its_key_holds(runtime: FakeRuntime) -> None:
    key = runtime.api_keys.authenticate(runtime.api_keys.create(["admin"]))
    assert key is not None
    token, _ = runtime.session_tokens.issue(key.id, timedelta(minutes=1))
    caller = {"principal": f"session:{key.id}", "scopes": "ingest", "customer": ""}
    assert authorizer.resolve(token, runtime) == caller
    runtime.api_keys.revoke(key.id)
    assert authorizer.resolve(token, runtime) == authorizer.ANONYMOUS


def test_a_session_ends_and_is_no_portal_token(runtime: FakeRuntime) -> None:
    key = runtime.api_keys.authenticate(runtime.api_keys.create(["ingest"]))
    assert key is not None
    ended, _ = runtime.session_tokens.issue(key.id, timedelta(seconds=-1))
    assert authorizer.resolve(ended, runtime) == authorizer.ANONYMOUS
    token, _ = runtime.session_tokens.issue(key.id, timedelta(minutes=1))
    assert runtime.portal_tokens.customer(token) is None
    portal, _ = runtime.portal_tokens.issue(key.id, timedelta(minutes=1))
    assert runtime.session_tokens.key_id(portal) is None
