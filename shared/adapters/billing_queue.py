"""The queues of customers: to bill, to reconcile."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.domain.errors import UnavailableError
from shared.domain.events import utc_text

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MESSAGES_A_REQUEST = 10


class BillingQueue:
    """Sends one order per customer; ordering a customer twice is harmless."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client: Any = client
        self._queue_url = queue_url

    def send(self, customers: Iterable[str], as_of: datetime) -> int:
        """How many orders were sent.

        Raises: UnavailableError if the queue refused one; the next run sends it again.
        """
        sent = 0
        for group in _groups(customers):
            entries = [
                {
                    "Id": str(i),
                    "MessageBody": json.dumps({"customer": key, "as_of": utc_text(as_of)}),
                }
                for i, key in enumerate(group)
            ]
            answer = self._client.send_message_batch(QueueUrl=self._queue_url, Entries=entries)
            if answer.get("Failed"):
                raise UnavailableError("the billing queue refused an order")
            sent += len(entries)
        return sent


def _groups(customers: Iterable[str]) -> Iterator[list[str]]:
    group: list[str] = []
    for customer in customers:
        group.append(customer)
        if len(group) == MESSAGES_A_REQUEST:
            yield group
            group = []
    if group:
        yield group
