"""API keys from the command line to the authorizer, on the real tables and a real secret."""

import json

import pytest

from cli.__main__ import main
from functions import _runtime, authorizer
from functions._runtime import Runtime
from functions._settings import Settings
from local.emulator import Aws
from tests.integration.conftest import Tables
from tests.unit.http.events import AUTHORIZER_REQUEST


@pytest.fixture
def runtime(aws: Aws, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Runtime:
    secrets = aws.client("secretsmanager")
    name = f"keys-{tables.billing_table}"
    try:
        arn = secrets.create_secret(Name=name, SecretString=json.dumps({"root_key": "x" * 64}))[
            "ARN"
        ]
    except secrets.exceptions.ResourceExistsException:
        arn = secrets.describe_secret(SecretId=name)["ARN"]
    settings = Settings("local", "", tables.billing_table, 3600, arn, "", True)
    runtime = Runtime(settings)
    runtime.dynamodb = aws.client("dynamodb")
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.endpoint_url)
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(variable, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for variable in ("STAGE", "BILLING_TABLE", "SECRET_ARN"):
        monkeypatch.setenv(variable, "local")
    monkeypatch.setattr(_runtime, "runtime", lambda: runtime)
    monkeypatch.setattr(authorizer, "runtime", lambda: runtime)
    return runtime


def context_of(text: str) -> dict[str, str]:
    event = {**AUTHORIZER_REQUEST, "headers": {"x-api-key": text}}
    context: dict[str, str] = authorizer.handler(event, None)["context"]
    return context


def scopes_of(text: str) -> str:
    return context_of(text)["scopes"]


def test_a_keys_life(runtime: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    create = ["keys", "create", "--scope", "ingest", "--scope", "read", "--name", "the app"]
    assert main(create) == 0
    text = capsys.readouterr().out.removesuffix("\n")
    assert scopes_of(text) == "ingest,read"

    key_id = text.split("_")[2]
    assert main(["keys", "list"]) == 0
    listing = capsys.readouterr().out
    assert key_id in listing
    assert "the app" in listing
    assert text not in listing

    assert main(["keys", "revoke", key_id]) == 0
    assert scopes_of(text) == ""
    assert main(["keys", "revoke", key_id]) == 0
    assert main(["keys", "revoke", "0" * 16]) == 1
    assert "no key" in capsys.readouterr().err


def test_a_keys_limit(runtime: Runtime, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keys", "create", "--scope", "ingest", "--rate-limit", "600"]) == 0
    text = capsys.readouterr().out.removesuffix("\n")
    key_id = text.split("_")[2]
    assert context_of(text)["rate_limit"] == "600"
    assert main(["keys", "limit", key_id, "1200"]) == 0
    assert context_of(text)["rate_limit"] == "1200"
    assert main(["keys", "list", "--output", "json"]) == 0
    listed = {key["id"]: key["rate_limit"] for key in json.loads(capsys.readouterr().out)}
    assert listed[key_id] == 1200
    assert main(["keys", "limit", key_id, "none"]) == 0
    assert "rate_limit" not in context_of(text)
    assert main(["keys", "limit", key_id, "60001"]) == 1
    assert "1 to 60000 requests per minute" in capsys.readouterr().err
    assert main(["keys", "limit", "0" * 16, "5"]) == 1
    assert "no key" in capsys.readouterr().err


def test_keys_of_different_purposes_differ(runtime: Runtime) -> None:
    keys = runtime.secret_keys
    assert keys.key("cursors") == keys.key("cursors")
    assert keys.key("cursors") != keys.key("portal-tokens")


def test_what_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for variable in ("STAGE", "BILLING_TABLE", "SECRET_ARN"):
        monkeypatch.delenv(variable, raising=False)
    assert main(["keys", "list"]) == 2
    assert "BILLING_TABLE" in capsys.readouterr().err
