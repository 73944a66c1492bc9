"""Which function may do what to which table or index: the whole of the data permissions."""

from collections.abc import Mapping

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_secretsmanager as secretsmanager
from aws_cdk import aws_sqs as sqs

from infra.acknowledgements import acknowledge
from infra.tables import Tables

READ = ("GetItem", "BatchGetItem", "Query")
WRITE = ("PutItem", "UpdateItem", "ConditionCheckItem")

# Keys are "table" or "table/index". A transaction needs the permission of each of its parts,
# PartiQL its own.
TABLE_ACCESS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "authorizer": {"billing": ("GetItem",)},
    "ingest": {
        "events": ("BatchGetItem", "PartiQLInsert"),
        "billing": (*READ, "UpdateItem"),  # It counts the requests of keys with a limit.
    },
    # It counts anew from raw events, and deletes claims, where a correction took values back.
    "aggregate": {
        "events": ("GetItem",),
        "events/by_time": ("Query",),
        "billing": (*READ, *WRITE, "DeleteItem"),
    },
    # It puts ledger entries and conversions; what a plan asks is in the catalogue.
    "react": {"billing": ("GetItem", "BatchGetItem", "Query", "PutItem")},
    "follow_usage": {"billing": (*READ, *WRITE)},
    # It deletes the marks of days that it has counted.
    "settle_earnings": {
        "billing": (*READ, *WRITE, "DeleteItem"),
        "billing/by_kind": ("Query",),
    },
    "archive": {},
    "start_billing_run": {"billing/by_due": ("Query",)},
    "bill_customer": {"events": ("PutItem",), "billing": (*READ, *WRITE)},
    "start_reconciliation": {"billing/by_kind": ("Query",)},
    "reconcile_customer": {
        "events": ("GetItem", "PutItem"),
        "events/by_time": ("Query",),
        "billing": (*READ, *WRITE, "DeleteItem"),  # As aggregation does.
        "billing/by_kind": ("Query",),
    },
    "backfill": {
        "events/by_time": ("Query",),
        "billing": (*READ, *WRITE),
        "billing/by_kind": ("Query",),
    },
    "api": {
        # It puts barriers, beside events what corrects them, and takes in the events that
        # reservations are settled with.
        "events": ("GetItem", "BatchGetItem", "PutItem", "ConditionCheckItem", "PartiQLInsert"),
        "events/by_time": ("Query",),
        "billing": (*READ, *WRITE, "DeleteItem"),  # It deletes segments and, redriving, claims.
        "billing/by_kind": ("Query",),
    },
    "test_clocks": {
        "events": ("PutItem", "Query", "BatchWriteItem"),
        "billing": (*READ, *WRITE, "BatchWriteItem"),
    },
}

LOCAL_OPERATIONS = {
    "ingest": ("dynamodb:BatchExecuteStatement",),
    "start_billing_run": ("sqs:SendMessageBatch",),
    "start_reconciliation": ("sqs:SendMessageBatch",),
    "reconcile_customer": ("sqs:SendMessageBatch",),
    "backfill": ("sqs:SendMessageBatch",),
    "api": ("sqs:SendMessageBatch", "dynamodb:BatchExecuteStatement"),
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


def queue_statement(queue: sqs.Queue, *actions: str) -> iam.PolicyStatement:
    """Lets a role take `actions` (such as "SendMessage") on `queue`."""
    return iam.PolicyStatement(
        actions=[f"sqs:{action}" for action in actions], resources=[queue.queue_arn]
    )


def allow_local_operations(role: iam.Role, function: str) -> None:
    """What the local AWS asks for calls of several parts: a permission for the API's operation.

    AWS authorizes each part by its own action instead, and has no such permissions.
    """
    operations = LOCAL_OPERATIONS.get(function)
    if operations is None:
        return
    statement = iam.PolicyStatement(actions=list(operations), resources=["*"])
    policy = iam.Policy(role, "LocalOperations", statements=[statement], roles=[role])
    acknowledge(policy, "IAM5[Resource::*]", "Asked for by the local AWS, and only deployed there.")
    resource = policy.node.default_child
    assert isinstance(resource, iam.CfnPolicy)
    resource.add_metadata("cfn-lint", {"config": {"ignore_checks": ["W3037"]}})


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
