"""People who correct events: cancel them, or have other data count instead."""

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.domain.corrections import History
from shared.domain.events import Value, canonical_json
from shared.services.correcting import Correcting, CorrectionOrder
from tests.fakes.events import MemoryEventStore
from tests.simulation.people import Wish


@dataclass
class Correctors:
    """Makes up corrections; `data` is other data for an event of a type."""

    rng: random.Random
    events: MemoryEventStore  # what they can see on a page
    correcting: Correcting
    data: Callable[[str], dict[str, Value]]

    def draw(self, customer: str) -> Wish | None:
        """A correction of one of the customer's events, if there are any."""
        mine = [item for (owner, _), item in self.events.items.items() if owner == customer]
        sent = [item for item in mine if "correction" not in item]
        corrected = {item["id"]["S"] for item in mine if "correction" in item}
        if corrected and self.rng.random() < 0.3:
            sent = [item for item in sent if item["id"]["S"] in corrected]
        if not sent:
            return None
        item = self.rng.choice(sent)
        data = None
        if self.rng.random() < 0.6:
            data = self.data(item.get("type", {"S": "mail"})["S"])
        return self._wish(item, data)

    def _wish(self, item: Mapping[str, Any], data: dict[str, Value] | None) -> Wish:
        customer, source, event_id = (item[name]["S"] for name in ("pk", "source", "id"))
        about = {
            "source": source,
            "id": event_id,
            "data": None if data is None else canonical_json(data),
        }

        def operation(_: Any, write: Any) -> Any:
            order = CorrectionOrder(
                customer=customer,
                source=source,
                id=event_id,
                data=data,
                actor=write.actor,
                key=write.key,
                request_hash=write.request_hash,
            )
            return self.correcting.correct(order, _text)

        return Wish("correction", operation, about)


def _text(history: History) -> str:
    return json.dumps({"number": history.number})
