"""Least privilege: each role may do exactly what is declared here, nothing by wildcard."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.assembly import Assembly, reference

STREAM = {"DescribeStream", "GetRecords", "GetShardIterator", "ListStreams"}
READ = {"GetItem", "BatchGetItem", "Query"}
WRITE = {"PutItem", "UpdateItem", "ConditionCheckItem"}
EVENTS = "TablesUsageEvents"
BILLING = "TablesBilling"

# What each role needs beside its own log group, by resource.
NEEDS: dict[str, dict[str, set[str]]] = {
    "ApiAuthorizerRole": {
        BILLING: {"dynamodb:GetItem"},
        "ApiSecret.Id": {"secretsmanager:GetSecretValue"},
    },
    "ApiIngestRole": {
        EVENTS: {"dynamodb:BatchGetItem", "dynamodb:PartiQLInsert"},
        BILLING: {f"dynamodb:{action}" for action in READ | {"UpdateItem"}},
    },
    "ApiApiRole": {
        EVENTS: {
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:BatchGetItem",
            "dynamodb:ConditionCheckItem",
            "dynamodb:PartiQLInsert",
        },
        f"{EVENTS}/index/by_time": {"dynamodb:Query"},
        BILLING: {f"dynamodb:{action}" for action in READ | WRITE | {"DeleteItem"}},
        f"{BILLING}/index/by_kind": {"dynamodb:Query"},
        "BackfillingQueue": {"sqs:SendMessage"},
        "ApiSecret.Id": {"secretsmanager:GetSecretValue"},
    },
    "ApiTestClocksRole": {
        EVENTS: {"dynamodb:PutItem", "dynamodb:Query", "dynamodb:BatchWriteItem"},
        BILLING: {f"dynamodb:{action}" for action in READ | WRITE | {"BatchWriteItem"}},
    },
    "AggregationAggregateRole": {
        EVENTS: {"dynamodb:GetItem"},
        f"{EVENTS}/index/by_time": {"dynamodb:Query"},
        BILLING: {f"dynamodb:{action}" for action in READ | WRITE | {"DeleteItem"}},
        f"{EVENTS}.StreamArn": {f"dynamodb:{action}" for action in STREAM},
        "AggregationFailures": {"sqs:SendMessage"},
    },
    "ArchiveArchiveEventsRole": {
        "ArchiveBucket/events/*": {"s3:PutObject"},
        "ArchiveBucket/quarantine/*": {"s3:PutObject"},
        f"{EVENTS}.StreamArn": {f"dynamodb:{action}" for action in STREAM},
        "ArchiveFailures": {"sqs:SendMessage"},
    },
    "ReactionsReactRole": {
        BILLING: {f"dynamodb:{action}" for action in READ | {"PutItem"}},
        f"{BILLING}.StreamArn": {f"dynamodb:{action}" for action in STREAM},
        "ReactionsFailures": {"sqs:SendMessage"},
    },
    "EarningsSettleEarningsRole": {
        BILLING: {f"dynamodb:{action}" for action in READ | WRITE | {"DeleteItem"}},
        f"{BILLING}/index/by_kind": {"dynamodb:Query"},
    },
    "EarningsScheduleRole": {
        "EarningsSettleEarnings": {"lambda:InvokeFunction"},
        "EarningsScheduleFailures": {"sqs:SendMessage"},
    },
    "FollowingFollowUsageRole": {
        BILLING: {f"dynamodb:{action}" for action in READ | WRITE},
        f"{BILLING}.StreamArn": {f"dynamodb:{action}" for action in STREAM},
        "FollowingFailures": {"sqs:SendMessage"},
    },
    "BillingRunStartBillingRunRole": {
        f"{BILLING}/index/by_due": {"dynamodb:Query"},
        "BillingRunQueue": {"sqs:SendMessage"},
    },
    "BillingRunBillCustomerRole": {
        EVENTS: {"dynamodb:PutItem"},
        BILLING: {f"dynamodb:{action}" for action in READ | WRITE},
        "BillingRunQueue": {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"},
    },
    "ReconciliationStartReconciliationRole": {
        f"{BILLING}/index/by_kind": {"dynamodb:Query"},
        "ReconciliationQueue": {"sqs:SendMessage"},
    },
    "ReconciliationReconcileCustomerRole": {
        EVENTS: {"dynamodb:GetItem", "dynamodb:PutItem"},
        f"{EVENTS}/index/by_time": {"dynamodb:Query"},
        BILLING: {f"dynamodb:{action}" for action in READ | WRITE | {"DeleteItem"}},
        f"{BILLING}/index/by_kind": {"dynamodb:Query"},
        "ReconciliationQueue": {
            "sqs:SendMessage",
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
        },
    },
    "BackfillingBackfillRole": {
        f"{EVENTS}/index/by_time": {"dynamodb:Query"},
        BILLING: {f"dynamodb:{action}" for action in READ | WRITE},
        f"{BILLING}/index/by_kind": {"dynamodb:Query"},
        "BackfillingQueue": {
            "sqs:SendMessage",
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
        },
    },
    "ReconciliationScheduleRole": {
        "ReconciliationStartReconciliation": {"lambda:InvokeFunction"},
        "ReconciliationScheduleFailures": {"sqs:SendMessage"},
    },
    "BillingRunScheduleRole": {
        "BillingRunStartBillingRun": {"lambda:InvokeFunction"},
        "BillingRunScheduleFailures": {"sqs:SendMessage"},
    },
}
LOGGING = {"logs:CreateLogStream", "logs:PutLogEvents"}
# The local AWS authorizes these by operation; AWS has no such permissions.
LOCAL_ONLY = {
    ("ApiIngestRole", "*"): {"dynamodb:BatchExecuteStatement"},
    ("BillingRunStartBillingRunRole", "*"): {"sqs:SendMessageBatch"},
    ("ReconciliationStartReconciliationRole", "*"): {"sqs:SendMessageBatch"},
    ("ReconciliationReconcileCustomerRole", "*"): {"sqs:SendMessageBatch"},
    ("BackfillingBackfillRole", "*"): {"sqs:SendMessageBatch"},
    ("ApiApiRole", "*"): {"sqs:SendMessageBatch", "dynamodb:BatchExecuteStatement"},
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def grants(assembly: Assembly, role: str) -> dict[str, set[str]]:
    """Actions that a role is allowed, by resource."""
    granted: dict[str, set[str]] = {}
    for statement in statements(assembly, role):
        assert statement["Effect"] == "Allow"
        for resource in as_list(statement["Resource"]):
            granted.setdefault(reference(resource), set()).update(as_list(statement["Action"]))
    return granted


def statements(assembly: Assembly, role: str) -> Iterator[dict[str, Any]]:
    for policy in assembly.properties("AWS::IAM::Policy").values():
        if role in [reference(each) for each in policy["Roles"]]:
            yield from policy["PolicyDocument"]["Statement"]


def test_every_role_is_declared_here(assembly: Assembly) -> None:
    declared = set(NEEDS) - (set() if assembly.stage == "local" else {"ApiTestClocksRole"})
    assert set(assembly.resources("AWS::IAM::Role")) == declared


@pytest.mark.parametrize("role", NEEDS)
def test_a_role_may_do_what_it_needs_and_no_more(assembly: Assembly, role: str) -> None:
    if role not in assembly.resources("AWS::IAM::Role"):
        assert (assembly.stage, role) == ("prod", "ApiTestClocksRole")
        return
    granted = grants(assembly, role)
    logs = {name: actions for name, actions in granted.items() if name.endswith("Logs")}
    assert all(actions == LOGGING for actions in logs.values())
    assert len(logs) == (0 if role.endswith("ScheduleRole") else 1)
    expected = dict(NEEDS[role])
    if assembly.stage == "local":
        expected |= {
            resource: actions for (of, resource), actions in LOCAL_ONLY.items() if of == role
        }
    assert {name: actions for name, actions in granted.items() if name not in logs} == expected


def test_no_role_has_policies_from_elsewhere(assembly: Assembly) -> None:
    for role in assembly.properties("AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role
        assert "Policies" not in role


def test_nothing_is_granted_by_wildcard(prod: Assembly) -> None:
    for role in NEEDS:
        for resource, actions in grants(prod, role).items():
            # The archive's files are named by their content, below two folders.
            assert "*" not in resource.removesuffix("/*" if "ArchiveBucket" in resource else "")
            assert not any("*" in action for action in actions)


def test_each_function_has_a_role_of_its_own(assembly: Assembly) -> None:
    roles = [reference(function["Role"]) for function in assembly.functions().values()]
    assert len(set(roles)) == len(roles)


def test_only_the_api_and_the_schedule_may_invoke(assembly: Assembly) -> None:
    for permission in assembly.properties("AWS::Lambda::Permission").values():
        assert permission["Action"] == "lambda:InvokeFunction"
        assert permission["Principal"] == "apigateway.amazonaws.com"
        assert "ApiHttpApi" in reference(permission["SourceArn"])


def test_the_scheduler_takes_a_role_for_this_account_only(assembly: Assembly) -> None:
    roles = assembly.properties("AWS::IAM::Role")
    documents = [r["AssumeRolePolicyDocument"] for n, r in roles.items() if "ScheduleRole" in n]
    assert len(documents) == 3
    for document in documents:
        [statement] = document["Statement"]
        own = {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
        assert statement["Condition"] == own
