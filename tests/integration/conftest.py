"""A real DynamoDB engine for integration tests: one emulator a session, fresh tables a module."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.emulator import Aws, Emulator, free_port, stop_child
from tests.integration.tables import BILLING_TABLE, EVENTS_TABLE


@dataclass(frozen=True)
class Tables:
    """Names of one module's two tables."""

    events_table: str
    billing_table: str


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """An emulator without anything deployed; `aws.client(name)` gives a boto3 client."""
    home: Path = tmp_path_factory.mktemp("emulator")
    emulator = Emulator(free_port(), home, persist=False, enforce_iam=False)
    process = emulator.start(home / "emulator.log")
    try:
        emulator.wait_until_ready(process)
        yield emulator.aws()
    finally:
        stop_child(process)


@pytest.fixture(scope="module")
def tables(aws: Aws) -> Iterator[Tables]:
    """The two tables, as deployed, under names that only this module uses."""
    dynamodb = aws.client("dynamodb")
    suffix = uuid.uuid4().hex[:8]
    names = Tables(f"usage-events-{suffix}", f"billing-{suffix}")
    dynamodb.create_table(TableName=names.events_table, **EVENTS_TABLE)
    dynamodb.create_table(TableName=names.billing_table, **BILLING_TABLE)
    yield names
    dynamodb.delete_table(TableName=names.events_table)
    dynamodb.delete_table(TableName=names.billing_table)
