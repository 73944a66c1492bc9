"""What every store of segments does, in memory and on DynamoDB."""

import uuid

import pytest

from local.emulator import Aws
from shared.adapters.dynamodb.segments import DynamoSegmentStore
from shared.domain.segments import Segment
from shared.services.changes import PutAudit
from shared.services.segments import SegmentStore
from tests.fakes.segments import MemorySegmentStore
from tests.integration.conftest import Tables
from tests.support.builders import MARCH

AUDIT = PutAudit(MARCH, "somebody", "segment.put", "s")


@pytest.fixture(params=["memory", "emulator"])
def segments(request: pytest.FixtureRequest) -> SegmentStore:
    if request.param == "memory":
        return MemorySegmentStore()
    aws: Aws = request.getfixturevalue("aws")
    tables: Tables = request.getfixturevalue("tables")
    return DynamoSegmentStore(aws.client("dynamodb"), tables.billing_table)


def test_a_segment_is_put_replaced_and_deleted(segments: SegmentStore) -> None:
    key = uuid.uuid4().hex
    first = Segment(key, "First", {"plan": ("gold", ""), "region": ("eu",)})
    segments.put(first, AUDIT)
    segments.put(first, AUDIT)
    assert segments.get(key) == first
    second = Segment(key, "Second", {"region": ("us",)})
    segments.put(second, AUDIT)
    assert segments.get(key) == second
    segments.delete(key, AUDIT)
    segments.delete(key, AUDIT)
    assert segments.get(key) is None


def test_segments_are_listed_by_key_page_after_page(segments: SegmentStore) -> None:
    keys = sorted(uuid.uuid4().hex for _ in range(3))
    for key in reversed(keys):
        segments.put(Segment(key, key, {"x": ("1",)}), AUDIT)
    found: list[str] = []
    cursor = None
    while True:
        page = segments.list(2, cursor)
        assert len(page.items) <= 2
        found += [segment.key for segment in page.items]
        cursor = page.cursor
        if cursor is None:
            break
    assert [key for key in found if key in keys] == keys
    assert found == sorted(found)
