"""Clients of AWS, made once in a container.

Imports stand inside the properties: a function pays at its cold start only for what it uses.
"""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from functions._settings import Settings

if TYPE_CHECKING:
    from botocore.config import Config
    from botocore.session import Session
    from mypy_boto3_dynamodb import DynamoDBClient

    from shared.services.store import Clock

# A call that hangs must not outlast the function: two tries of 3 s, then the service decides.
CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 3


class Aws:
    """What reaches outside the container."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def _session(self) -> "Session":
        # botocore by itself: boto3 adds half to its import time, and nothing that is used here.
        from botocore.session import get_session

        return get_session()

    def _client(self, service: str, config: "Config | None" = None) -> Any:
        return self._session.create_client(service, config=config)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            max_pool_connections=16,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
        client: DynamoDBClient = self._client("dynamodb", config)
        return client

    @cached_property
    def clock(self) -> "Clock":
        from shared.adapters.machine_clock import MachineClock

        return MachineClock()
