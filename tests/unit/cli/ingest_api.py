"""The command line's client, answered by the ingest function itself over stores in memory."""

import io
import json
from contextlib import redirect_stdout
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from cli.client import ApiError, Client
from functions.ingest import router
from shared.domain.catalogue import Meter
from shared.domain.events import UsageEvent
from shared.domain.publishing import Publication
from shared.services.catalogue import CachedCatalogue
from shared.services.changes import PutAudit
from shared.services.ingest import Ingest
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.catalogue import MemoryCatalogueStore
from tests.fakes.events import MemoryEventStore, MemoryIngestContext
from tests.unit.http.events import api_event

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TOKENS = Meter("tokens", "chat", "sum", value="tokens", since=1)


class IngestClient(Client):
    """Remembers how many events each request carried; fails as it is told to."""

    def __init__(self) -> None:
        super().__init__("http://here", "key")
        catalogue = MemoryCatalogueStore()
        audit = PutAudit(NOW, "tests", "publish", TOKENS.key)
        catalogue.publish(0, Publication("publish", None, TOKENS), audit)
        self.store = MemoryEventStore()
        self.sizes: list[int] = []
        self.unavailable_after = 10**9
        clock = SimpleNamespace(now=lambda: NOW)
        context = MemoryIngestContext(MemoryBillingStore(), catalogue)
        self._runtime = SimpleNamespace(
            ingest=Ingest(self.store, context, CachedCatalogue(catalogue), clock)
        )

    def call(self, method: str, path: str, *, body: Any = None, **_options: Any) -> Any:
        """As the function answers it."""
        if len(self.sizes) >= self.unavailable_after:
            raise ApiError(503, {"code": "unavailable", "detail": "Later."})
        with redirect_stdout(io.StringIO()):  # where functions log
            answer = router.serve(api_event(method, path, body), lambda: self._runtime)
        document = json.loads(answer["body"])
        self.sizes.append(len(json.loads(body)))
        if answer["statusCode"] >= 400:
            raise ApiError(answer["statusCode"], document)
        return document

    def stored(self, customer: str, key: str) -> UsageEvent:
        """A stored event that must be there."""
        event = self.store.get(customer, key)
        assert event is not None
        return event
