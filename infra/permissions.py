"""Which function may do what to which table or index: the whole of the data permissions."""

from collections.abc import Mapping

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager

from infra.stage import Stage
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


def table_statements(function: str, tables: Tables, stage: Stage) -> list[iam.PolicyStatement]:
    """The policy statements that let `function` use the tables as declared above."""
    statements = [
        iam.PolicyStatement(
            actions=[f"dynamodb:{action}" for action in actions],
            resources=[_arn(resource, tables)],
        )
        for resource, actions in TABLE_ACCESS[function].items()
    ]
    if needs_local_partiql(function, stage):
        statements.append(
            iam.PolicyStatement(actions=["dynamodb:BatchExecuteStatement"], resources=["*"])
        )
    return statements


def needs_local_partiql(function: str, stage: Stage) -> bool:
    """The local AWS authorizes PartiQL by the API's operation, which names no table, where AWS
    authorizes each statement by its table."""
    partiql = any("PartiQLInsert" in actions for actions in TABLE_ACCESS[function].values())
    return partiql and not stage.protected


def secret_statement(secret: secretsmanager.Secret) -> iam.PolicyStatement:
    """Lets a function read the value of `secret`."""
    return iam.PolicyStatement(
        actions=["secretsmanager:GetSecretValue"], resources=[secret_arn(secret)]
    )


def secret_arn(secret: secretsmanager.Secret) -> str:
    """The ARN by attribute: a reference is the ARN on AWS, but only the name on the local AWS."""
    resource = secret.node.default_child
    assert isinstance(resource, secretsmanager.CfnSecret)
    return str(resource.attr_id)


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
