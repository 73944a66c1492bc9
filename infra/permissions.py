"""Which function may do what to which table or index: the whole of the data permissions."""

from collections.abc import Mapping

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam

from infra.tables import Tables

READ = ("GetItem", "BatchGetItem", "Query")
WRITE = ("PutItem", "UpdateItem", "ConditionCheckItem")

# Keys are "table" or "table/index". A transaction needs the permission of each of its parts,
# PartiQL its own.
TABLE_ACCESS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "authorizer": {"billing": ("GetItem",)},
    "ingest": {
        "events": ("GetItem", "BatchGetItem", "PartiQLInsert"),
        "billing": ("GetItem", "BatchGetItem", "Query"),
    },
    "aggregate": {"billing": (*READ, *WRITE)},
    "react": {"billing": (*READ, *WRITE)},
    "start_billing_run": {"billing": ("GetItem",), "billing/by_due": ("Query",)},
    "bill_customer": {"billing": (*READ, *WRITE)},
    "api": {
        "events": ("GetItem", "BatchGetItem"),
        "events/by_time": ("Query",),
        "billing": (*READ, *WRITE, "DeleteItem"),
        "billing/by_kind": ("Query",),
    },
    "test_clocks": {
        "billing": (*READ, *WRITE),
        "billing/by_due": ("Query",),
        "billing/by_kind": ("Query",),
    },
}


def table_statements(function: str, tables: Tables) -> list[iam.PolicyStatement]:
    """The policy statements that let `function` use the tables as declared above."""
    return [
        iam.PolicyStatement(
            actions=[f"dynamodb:{action}" for action in actions],
            resources=[_arn(resource, tables)],
        )
        for resource, actions in TABLE_ACCESS[function].items()
    ]


def stream_statements(table: dynamodb.Table) -> list[iam.PolicyStatement]:
    """What an event source mapping reads a table's stream with."""
    assert table.table_stream_arn
    actions = ("DescribeStream", "GetRecords", "GetShardIterator", "ListStreams")
    return [
        iam.PolicyStatement(
            actions=[f"dynamodb:{action}" for action in actions],
            resources=[table.table_stream_arn],
        )
    ]


def _arn(resource: str, tables: Tables) -> str:
    name, _, index = resource.partition("/")
    table = {"events": tables.events, "billing": tables.billing}[name]
    return f"{table.table_arn}/index/{index}" if index else table.table_arn
