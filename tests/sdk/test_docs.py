"""The examples of the clients' pages run as they stand, and the Python client builds as a wheel."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from meterline_client import _client
from tests.sdk.test_calls import Balances
from tests.sdk.test_client import Gate
from tests.sdk.test_tokens import COMPLETION
from tests.sdk.test_typescript import FOLDER, compiled

REPOSITORY = Path(__file__).parents[2]
PAGES = ("docs/sdk.md", "clients/python/README.md")
START = "2026-03-01T00:00:00Z"
SPAN = {"start": START, "end": "2026-04-01T00:00:00Z"}
SUBSCRIPTION = {
    "customer": "acme",
    "plan": "pro",
    "plan_version": 1,
    "currency": "USD",
    "timezone": "UTC",
    "period": SPAN,
    "next_change": None,
}
ANSWERS: dict[str, dict[str, Any]] = {
    "/v1/usage": {
        "meter": "tokens",
        "window": "day",
        "timezone": "UTC",
        "data": [{**SPAN, "value": "7", "group": {"model": "large"}}],
    },
    "/v1/customers/acme/balance": {
        "unit": "spark",
        "as_of": START,
        "grants": [],
        **dict.fromkeys(("settled", "reserved", "available", "overage"), "1.5"),
    },
    "/v1/customers/acme/invoices/upcoming": {
        "id": "i",
        "number": None,
        "customer": "acme",
        "kind": "period",
        "status": "draft",
        "period": SPAN,
        "currency": "USD",
        "lines": [],
        "total": "3",
        "finalized_at": None,
    },
    "/v1/customers/acme/subscription": SUBSCRIPTION,
    "/v1/customers/acme": {
        "key": "acme",
        "name": "Acme",
        "email": None,
        "currency": None,
        "timezone": "UTC",
        "traits": {},
        "created_at": START,
        "archived_at": None,
    },
}


def blocks(page: str, language: str) -> list[str]:
    text = (REPOSITORY / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


class Api:
    """Everything that the examples ask for, on `https://api.example.com`."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.balances = Balances()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.url.host == "api.example.com"
        path = request.url.path
        if path == "/v1/events":
            return self.gate(request)
        if "entitlements" in path or "reservations" in path:
            return self.balances(request)
        return httpx.Response(200, json=ANSWERS[path])


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_run(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api = Api()

    async def answer_later(self: object, request: httpx.Request) -> httpx.Response:
        await request.aread()
        return api(request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", lambda _, request: api(request))
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", answer_later)
    create = lambda **kwargs: json.loads(json.dumps(COMPLETION))  # noqa: E731
    chat = SimpleNamespace(completions=SimpleNamespace(create=create))
    names: dict[str, Any] = {"openai_client": SimpleNamespace(chat=chat), "__name__": "example"}
    examples = blocks(page, "python")
    assert len(examples) > 1
    for example in examples:
        # Annotations of decorated functions are looked up in their module.
        exec(compile(example, page, "exec"), names)
    names["client"].close()
    sent = [event for batch in api.gate.batches for event in batch]
    assert {event["subject"] for event in sent} == {"acme"}
    if page == "docs/sdk.md":
        assert {event["type"] for event in sent} == {
            "chat.message",
            "file.stored",
            "image.rendered",
            "model.completion",
            "order.placed",
            "storage.added",
        }
        assert api.balances.settled == 10 - 3.5
    assert not [c for c in _client._CLIENTS if c._worker and c._worker.is_alive()]


def test_the_typescript_example_compiles(tmp_path: Path) -> None:
    [example] = blocks("docs/sdk.md", "ts")
    sources = tmp_path / "src"
    sources.mkdir()
    for file in (FOLDER / "src").iterdir():
        (sources / file.name).write_text(file.read_text())
    (sources / "example.ts").write_text(example.replace("meterline-client", "./client.js"))
    compiled(sources, tmp_path)


def test_the_wheel_builds_offline_and_holds_the_package(tmp_path: Path) -> None:
    uv = Path(sys.executable).parent / "uv"
    command = [uv, "build", "--offline", "--wheel", REPOSITORY / "clients/python", "-o", tmp_path]
    subprocess.run(command, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    modules = {p.name for p in (REPOSITORY / "clients/python/src/meterline_client").glob("*.py")}
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(n).name for n in archive.namelist() if re.match("meterline_client/.", n)}
        metadata = next(n for n in archive.namelist() if n.endswith("METADATA"))
        requires = re.findall(
            r"^Requires-Dist: (\w+)", archive.read(metadata).decode(), re.MULTILINE
        )
    assert names == modules | {"py.typed"}
    assert requires == ["httpx", "opentelemetry"]
