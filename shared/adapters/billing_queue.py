"""The queues of customers: to bill, to reconcile."""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.reads import chunks
from shared.domain.errors import UnavailableError
from shared.domain.events import utc_text

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

MESSAGES_A_REQUEST = 10


class BillingQueue:
    """Sends one order per customer; ordering a customer twice is harmless."""

    def __init__(self, client: "SQSClient", queue_url: str) -> None:
        self._client = client
        self._queue_url = queue_url

    def send(self, customers: Iterable[str], as_of: datetime) -> int:
        """How many orders were sent.

        Raises: UnavailableError if the queue refused one; the next run sends it again.
        """
        orders = ({"customer": key, "as_of": utc_text(as_of)} for key in customers)
        return send_messages(self._client, self._queue_url, orders)


def send_messages(
    client: "SQSClient",
    queue_url: str,
    bodies: Iterable[Mapping[str, object]],
    delay_seconds: int = 0,
) -> int:
    """How many messages were sent, each a JSON object; nobody gets them before the delay is over.

    Raises: UnavailableError if the queue refused one; others may have been sent.
    """
    sent = 0
    for group in chunks(bodies, MESSAGES_A_REQUEST):
        entries: Any = [
            {"Id": str(i), "MessageBody": json.dumps(body), "DelaySeconds": delay_seconds}
            for i, body in enumerate(group)
        ]
        answer = client.send_message_batch(QueueUrl=queue_url, Entries=entries)
        if answer.get("Failed"):
            raise UnavailableError("the queue refused an order")
        sent += len(entries)
    return sent
