"""What ingest asks of the billing table: one consistent read, and one more for test clocks."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.billing_items import PROFILE_SORT_KEY
from shared.adapters.dynamodb.reads import batch_get
from shared.domain.errors import UnavailableError
from shared.domain.events import utc_time
from shared.services.ingest import CustomerState

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HEAD = ("CATALOGUE", "HEAD")
ATTRIBUTES = ("version", "test_clock", "archived_at", "now")


class DynamoIngestContext:
    """See IngestContext."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def read(self, customers: Iterable[str]) -> tuple[int, Mapping[str, CustomerState]]:
        keys = {
            customer: (customer_partition(customer), PROFILE_SORT_KEY) for customer in customers
        }
        items = self._get([HEAD, *keys.values()])
        profiles = {customer: items[key] for customer, key in keys.items() if key in items}
        clocks = {p["test_clock"]["S"] for p in profiles.values() if "test_clock" in p}
        times = self._get((f"CLOCK#{clock}", "CLOCK") for clock in clocks) if clocks else {}
        states = {}
        for customer, profile in profiles.items():
            now = None
            if "test_clock" in profile:
                clock = times.get((f"CLOCK#{profile['test_clock']['S']}", "CLOCK"))
                if clock is None:
                    raise UnavailableError("A customer's test clock is being removed.")
                now = utc_time(clock["now"]["S"])
            states[customer] = CustomerState("archived_at" in profile, now)
        head = items.get(HEAD)
        return int(head["version"]["N"]) if head else 0, states

    def _get(self, keys: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        return batch_get(self._client, self._table, keys, ATTRIBUTES)
