"""The queue of backfills: a meter's customers to be listed, and each customer's history."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.adapters.billing_queue import send_messages
from shared.domain.events import utc_text, utc_time
from shared.services.backfill import Order

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class BackfillQueue:
    """See Orders."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, orders: Iterable[Order], delay_seconds: int = 0) -> int:
        return send_messages(self._client, self._queue_url, map(_body, orders), delay_seconds)


def read_order(body: Mapping[str, Any]) -> Order:
    """The order of a message."""
    at: datetime | None = utc_time(body["at"]) if body["at"] else None
    return Order(body["meter"], body["run"], body["customer"], at, body["cursor"], body["counted"])


def _body(order: Order) -> dict[str, object]:
    return {
        "meter": order.meter,
        "run": order.run,
        "customer": order.customer,
        "at": utc_text(order.at) if order.at else None,
        "cursor": order.cursor,
        "counted": order.counted,
    }
