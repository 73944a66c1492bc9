"""A real DynamoDB engine for integration tests: one emulator a session, fresh tables a module."""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from local.emulator import Aws, Emulator, free_port, stop_child
from local.home import REPOSITORY, STACK_NAME

ASSEMBLY = REPOSITORY / "cdk.out"
# CloudFormation's properties of a table that CreateTable takes as they are.
TABLE_PROPERTIES = (
    "AttributeDefinitions",
    "BillingMode",
    "GlobalSecondaryIndexes",
    "KeySchema",
)


@dataclass(frozen=True)
class Tables:
    """Names of one module's two tables."""

    events_table: str
    billing_table: str


def synthesized_template() -> dict[str, Any]:
    """The template of stage local, synthesized again when its wiring is newer than it."""
    path = ASSEMBLY / f"{STACK_NAME}.template.json"
    wiring = max(file.stat().st_mtime for file in (REPOSITORY / "infra").glob("*.py"))
    if not path.exists() or path.stat().st_mtime < wiring:
        tools = [str(REPOSITORY / "node_modules" / ".bin"), str(REPOSITORY / ".venv" / "bin")]
        subprocess.run(
            ["cdk", "synth", "--quiet", "-c", "stage=local", "--output", str(ASSEMBLY)],
            cwd=REPOSITORY,
            env={**os.environ, "PATH": os.pathsep.join([*tools, os.environ["PATH"]])},
            check=True,
        )
    template: dict[str, Any] = json.loads(path.read_text())
    return template


def table_definition(template: dict[str, Any], output: str) -> dict[str, Any]:
    """CreateTable's parameters for the table whose name the stack puts out under `output`."""
    logical_id = template["Outputs"][output]["Value"]["Ref"]
    properties = template["Resources"][logical_id]["Properties"]
    definition = {name: properties[name] for name in TABLE_PROPERTIES}
    stream = {"StreamEnabled": True, **properties["StreamSpecification"]}
    return {**definition, "StreamSpecification": stream}


@pytest.fixture(scope="session")
def table_definitions() -> tuple[dict[str, Any], dict[str, Any]]:
    """The events and the billing table as the deployed stack has them, without names."""
    template = synthesized_template()
    return (
        table_definition(template, "EventsTableName"),
        table_definition(template, "BillingTableName"),
    )


@pytest.fixture(scope="session")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """An emulator without anything deployed; `aws.client(name)` gives a boto3 client."""
    home = tmp_path_factory.mktemp("emulator")
    emulator = Emulator(free_port(), home, persist=False, enforce_iam=False)
    process = emulator.start(home / "emulator.log")
    try:
        emulator.wait_until_ready(process)
        yield emulator.aws()
    finally:
        stop_child(process)


@pytest.fixture(scope="module")
def tables(aws: Aws, table_definitions: tuple[dict[str, Any], dict[str, Any]]) -> Iterator[Tables]:
    """The two tables, as deployed, under names that only this module uses."""
    dynamodb = aws.client("dynamodb")
    suffix = uuid.uuid4().hex[:8]
    names = Tables(f"usage-events-{suffix}", f"billing-{suffix}")
    events, billing = table_definitions
    dynamodb.create_table(TableName=names.events_table, **events)
    dynamodb.create_table(TableName=names.billing_table, **billing)
    yield names
    dynamodb.delete_table(TableName=names.events_table)
    dynamodb.delete_table(TableName=names.billing_table)
