"""What every counter of requests does, in memory and on DynamoDB."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from local.emulator import Aws
from shared.adapters.dynamodb.request_counters import DynamoRequestCounters
from shared.services.rate_limiting import RequestCounters
from tests.fakes.request_counters import MemoryRequestCounters
from tests.integration.conftest import Tables
from tests.support.builders import MARCH

NEXT = MARCH + timedelta(minutes=1)


@pytest.fixture(params=["memory", "emulator"])
def counters(request: pytest.FixtureRequest) -> RequestCounters:
    if request.param == "memory":
        return MemoryRequestCounters()
    aws: Aws = request.getfixturevalue("aws")
    tables: Tables = request.getfixturevalue("tables")
    return DynamoRequestCounters(aws.client("dynamodb", pool=16), tables.billing_table)


def test_each_key_has_each_window_for_itself(counters: RequestCounters) -> None:
    key, other = uuid.uuid4().hex, uuid.uuid4().hex
    assert [counters.count(key, MARCH, 2) for _ in range(4)] == [True, True, False, False]
    assert counters.count(other, MARCH, 2)
    assert counters.count(key, NEXT, 2)
    assert not counters.count(key, MARCH, 2)


def test_what_was_refused_does_not_count(counters: RequestCounters) -> None:
    key = uuid.uuid4().hex
    assert [counters.count(key, MARCH, limit) for limit in (1, 1, 1, 2, 2)] == [
        *(True, False, False),
        *(True, False),
    ]


def test_of_many_at_once_exactly_the_limit_pass(counters: RequestCounters) -> None:
    key = uuid.uuid4().hex
    with ThreadPoolExecutor(16) as pool:
        passed = list(pool.map(lambda _: counters.count(key, MARCH, 25), range(60)))
    assert passed.count(True) == 25
