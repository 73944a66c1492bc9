"""The deployed resources themselves, for commands that work on them with AWS credentials.

EVENTS_TABLE and ARCHIVE_BUCKET say where; the stack's outputs name them. Without them it is the
local stack of this directory.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cli.client import UsageError, local_stack

VARIABLES = ("EVENTS_TABLE", "ARCHIVE_BUCKET")


@dataclass(frozen=True)
class Deployment:
    """The table of raw events and the bucket of their archive; `client` makes one for a service."""

    events_table: str
    bucket: str
    client: Callable[[str], Any]


def deployment() -> Deployment:
    """What the variables name, or the local stack.

    Raises: UsageError when there is neither.
    """
    named = [os.environ.get(name) for name in VARIABLES]
    table, bucket = named
    if table and bucket:
        return Deployment(table, bucket, aws_client)
    endpoint = local_stack(os.environ).get("aws_endpoint")
    if endpoint is None or any(named):
        raise UsageError(f"set {' and '.join(VARIABLES)}: the stack's outputs say to what")
    # Only these commands work on AWS: the others start without its SDK.
    from local.deploy import outputs  # noqa: PLC0415
    from local.emulator import Aws  # noqa: PLC0415

    aws = Aws(endpoint)
    names = outputs(aws)
    return Deployment(names["EventsTableName"], names["ArchiveBucketName"], aws.client)


def aws_client(service: str) -> Any:
    """A client with the credentials and the region of the environment."""
    import boto3  # noqa: PLC0415

    return boto3.client(service)  # type: ignore[call-overload]
