"""The stub endpoint for tests: in a thread of this process, or in one of its own."""

import threading
from collections.abc import Iterator

import pytest

from tests.sdk.stub_server import Stub


@pytest.fixture
def stub() -> Iterator[Stub]:
    """An endpoint without faults; set its `rate` for some."""
    with Stub(rate=0.0, seed=1) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def url(stub: Stub) -> str:
    """Where it is."""
    return f"http://127.0.0.1:{stub.server_address[1]}"
