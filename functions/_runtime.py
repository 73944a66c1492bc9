"""The composition root: settings from the environment, and every adapter and service, built once.

Imports stand inside the properties: a function pays at its cold start only for what it uses.
"""

import os
from dataclasses import dataclass
from functools import cache, cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

    from shared.adapters.secrets import SecretKeys

# A call that hangs must not outlast the function: two tries of 3 s, then the service decides.
CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 3


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a function. Names that a function does not use may be empty."""

    stage: str
    events_table: str
    billing_table: str
    grace_seconds: int
    secret_arn: str
    billing_queue_url: str
    test_clocks: bool
    public_url: str

    @staticmethod
    def from_environment() -> "Settings":
        """Read once, at the first request."""
        read = os.environ.get
        return Settings(
            stage=read("STAGE", "local"),
            events_table=read("EVENTS_TABLE", ""),
            billing_table=read("BILLING_TABLE", ""),
            grace_seconds=int(read("GRACE_SECONDS", "3600")),
            secret_arn=read("SECRET_ARN", ""),
            billing_queue_url=read("BILLING_QUEUE_URL", ""),
            test_clocks=read("TEST_CLOCKS", "0") == "1",
            public_url=read("PUBLIC_URL", ""),
        )


class Runtime:
    """What a container keeps between invocations."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        import boto3
        from botocore.config import Config

        config = Config(
            connect_timeout=CONNECT_TIMEOUT_SECONDS,
            read_timeout=READ_TIMEOUT_SECONDS,
            max_pool_connections=16,
            retries={"mode": "standard", "total_max_attempts": 3},
        )
        return boto3.client("dynamodb", config=config)

    @cached_property
    def secret_keys(self) -> "SecretKeys":
        import boto3

        from shared.adapters.secrets import SecretKeys

        return SecretKeys(boto3.client("secretsmanager"), self.settings.secret_arn)


@cache
def runtime() -> Runtime:
    """The container's one runtime."""
    return Runtime(Settings.from_environment())
