"""The stream consumer delivers what Lambda would, in order, at least once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.streams.consumer import WINDOW_CLOSES_AFTER_SECONDS, ShardConsumer, Step
from local.streams.model import (
    Cursor,
    Event,
    Faults,
    FunctionError,
    Mapping,
    StreamRecord,
)
from local.streams.progress import MemoryProgress

STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/t/stream/2026-01-01T00:00:00.000"
NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z, the start of a window


def record(number: int, created_at: float = NOW) -> StreamRecord:
    return StreamRecord(
        Cursor(str(number), str(number)),
        {
            "eventName": "INSERT",
            "dynamodb": {"SequenceNumber": str(number), "ApproximateCreationDateTime": created_at},
        },
    )


@dataclass
class ListShard:
    """A shard in memory."""

    records: list[StreamRecord]
    shard_id: str = "shard-1"

    def read(self, after: Cursor | None) -> list[StreamRecord]:
        past = int(after.number) if after else -1
        return [record for record in self.records if int(record.cursor.number) > past]


@dataclass
class Function:
    """A function that notes each event and answers, or fails, as it is told."""

    answers: Callable[[Event], Any] = lambda _: {"state": {}}
    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> Any:
        self.events.append(event)
        return self.answers(event)

    @property
    def batches(self) -> list[list[int]]:
        return [numbers(event) for event in self.events]


def numbers(event: Event) -> list[int]:
    return [int(each["dynamodb"]["SequenceNumber"]) for each in event["Records"]]


@dataclass
class Bench:
    """One consumer on a shard in memory."""

    records: list[StreamRecord]
    function: Function = field(default_factory=Function)
    mapping: Mapping = field(default_factory=lambda: Mapping("f", STREAM))
    faults: Faults = field(default_factory=Faults)
    time: float = NOW + 1
    store: MemoryProgress = field(default_factory=MemoryProgress)
    discarded: list[Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.shard = ListShard(self.records)
        self.restart()

    def restart(self) -> None:
        """A new process: only the stored progress is left."""
        self.consumer = ShardConsumer(
            self.mapping,
            self.shard,
            self.store,
            self.function,
            self.discarded.append,
            lambda: self.time,
            self.faults,
        )

    def run(self, steps: int = 50) -> list[Step]:
        outcomes = []
        for _ in range(steps):
            outcomes.append(self.consumer.step())
            if outcomes[-1] is Step.IDLE:
                break
        return outcomes


def fails_on(*poison: int) -> Callable[[Event], Any]:
    def answer(event: Event) -> Any:
        if set(numbers(event)) & set(poison):
            raise FunctionError
        return {"state": {}}

    return answer


def test_records_come_in_order_in_batches_of_at_most_the_size() -> None:
    bench = Bench([record(n) for n in range(5)], mapping=Mapping("f", STREAM, batch_size=2))
    bench.run()
    assert bench.function.batches == [[0, 1], [2, 3], [4]]
    assert set(bench.function.events[0]) == {"Records"}


def test_filtered_records_never_reach_the_function_and_are_passed() -> None:
    mapping = Mapping("f", STREAM, matches=lambda r: int(r["dynamodb"]["SequenceNumber"]) % 2 == 0)
    bench = Bench([record(n) for n in range(6)], mapping=mapping)
    bench.run()
    bench.restart()
    assert bench.run() == [Step.IDLE]
    assert bench.function.batches == [[0, 2, 4]]
    assert bench.store.progress.acknowledged == Cursor("5", "5")


def test_a_partial_failure_goes_on_from_the_lowest_failed_record() -> None:
    failed = [{"itemIdentifier": "3"}, {"itemIdentifier": "2"}]
    answers = [{"batchItemFailures": failed}, {"batchItemFailures": []}]
    mapping = Mapping("f", STREAM, reports_item_failures=True)
    bench = Bench([record(n) for n in range(5)], Function(lambda _: answers.pop(0)), mapping)
    assert bench.run() == [Step.FAILED, Step.SETTLED, Step.IDLE]
    assert bench.function.batches == [[0, 1, 2, 3, 4], [2, 3, 4]]


@pytest.mark.parametrize("identifier", ["", None, "99"])
def test_an_identifier_that_names_no_record_fails_the_whole_batch(identifier: str | None) -> None:
    answers = [{"batchItemFailures": [{"itemIdentifier": identifier}]}, None]
    mapping = Mapping("f", STREAM, reports_item_failures=True)
    bench = Bench([record(1), record(2)], Function(lambda _: answers.pop(0)), mapping)
    bench.run()
    assert bench.function.batches == [[1, 2], [1, 2]]


def test_item_failures_do_not_count_unless_the_mapping_says_so() -> None:
    bench = Bench([record(1)], Function(lambda _: {"batchItemFailures": [{"itemIdentifier": "1"}]}))
    assert bench.run() == [Step.SETTLED, Step.IDLE]


def test_a_failed_batch_blocks_its_shard_until_it_succeeds() -> None:
    bench = Bench([record(1), record(2)], Function(fails_on(1)))
    assert bench.run(steps=5) == [Step.FAILED] * 5
    bench.shard.records.append(record(3))
    bench.function.answers = lambda _: None
    bench.run()
    assert bench.function.batches == [[1, 2]] * 6 + [[3]]


def test_bisecting_isolates_the_poisonous_record_and_keeps_the_order() -> None:
    mapping = Mapping("f", STREAM, bisects=True, maximum_retries=1)
    bench = Bench([record(n) for n in range(4)], Function(fails_on(2)), mapping)
    bench.run()
    assert bench.function.batches == [[0, 1, 2, 3], [0, 1], [2, 3], [2], [2], [3]]
    batch = bench.discarded[0]["DDBStreamBatchInfo"]
    assert (batch["startSequenceNumber"], batch["batchSize"]) == ("2", 1)
    assert bench.discarded[0]["requestContext"]["condition"] == "RetryAttemptsExhausted"


def test_expired_records_go_to_the_destination_unseen() -> None:
    mapping = Mapping("f", STREAM, maximum_age_seconds=60)
    bench = Bench([record(1, NOW - 100), record(2)], mapping=mapping)
    bench.run()
    assert bench.function.batches == [[2]]
    assert bench.discarded[0]["DDBStreamBatchInfo"]["endSequenceNumber"] == "1"


def test_a_batching_window_waits_for_more_records() -> None:
    mapping = Mapping("f", STREAM, batch_size=3, batching_window_seconds=2)
    bench = Bench([record(1)], mapping=mapping)
    assert bench.run() == [Step.IDLE]
    bench.shard.records += [record(2)]
    bench.time += 2
    bench.run()
    assert bench.function.batches == [[1, 2]]


WINDOWED = Mapping("f", STREAM, tumbling_window_seconds=60)


def test_a_window_carries_state_and_ends_with_a_call_without_records() -> None:
    def count(event: Event) -> Any:
        seen = event["state"].get("seen", 0) + len(event["Records"])
        return {"state": {"seen": seen}}

    bench = Bench([record(1), record(2)], Function(count), WINDOWED)
    bench.run()
    bench.shard.records.append(record(3, NOW + 59))
    bench.run()
    bench.time = NOW + 60 + WINDOW_CLOSES_AFTER_SECONDS
    bench.run()
    assert [event["state"] for event in bench.function.events] == [{}, {"seen": 2}, {"seen": 3}]
    assert bench.function.events[-1] == {
        "Records": [],
        "window": {"start": "2026-01-01T00:00:00Z", "end": "2026-01-01T00:01:00Z"},
        "state": {"seen": 3},
        "shardId": "shard-1",
        "eventSourceARN": STREAM,
        "isFinalInvokeForWindow": True,
        "isWindowTerminatedEarly": False,
    }
    assert bench.run() == [Step.IDLE]


def test_a_batch_never_spans_two_windows() -> None:
    bench = Bench([record(1), record(2, NOW + 61)], mapping=WINDOWED, time=NOW + 62)
    bench.run()
    starts = [event["window"]["start"][-9:-1] for event in bench.function.events]
    assert bench.function.batches == [[1], [], [2]]
    assert starts == ["00:00:00", "00:00:00", "00:01:00"]


def test_the_final_call_is_repeated_until_it_succeeds() -> None:
    bench = Bench([record(1)], mapping=WINDOWED)
    bench.run()
    bench.time = NOW + 70
    bench.function.answers = lambda _: None
    assert bench.consumer.step() is Step.FAILED
    bench.function.answers = lambda _: {"state": {}}
    bench.restart()
    assert bench.run() == [Step.SETTLED, Step.IDLE]
    assert bench.function.events[-1]["isFinalInvokeForWindow"]


def test_a_windowed_function_that_returns_no_state_has_failed() -> None:
    bench = Bench([record(1)], Function(lambda _: {"batchItemFailures": []}), WINDOWED)
    assert bench.consumer.step() is Step.FAILED


def test_a_crash_between_delivery_and_acknowledgement_redelivers() -> None:
    class Crash(BaseException):
        pass

    def crash(_: Event) -> Any:
        raise Crash

    bench = Bench([record(1), record(2)], mapping=Mapping("f", STREAM, batch_size=1))
    bench.consumer.step()
    bench.function.answers = crash
    with pytest.raises(Crash):
        bench.consumer.step()
    bench.function.answers = lambda _: None
    bench.restart()
    bench.run()
    assert bench.function.batches == [[1], [2], [2]]


def test_what_was_read_and_not_acknowledged_outlives_the_stream() -> None:
    bench = Bench([record(n) for n in range(4)], mapping=Mapping("f", STREAM, batch_size=2))
    bench.consumer.step()
    bench.consumer.close()
    bench.shard.records.clear()
    bench.restart()
    bench.run()
    assert bench.function.batches == [[0, 1], [2, 3]]


@given(
    groups=st.lists(st.integers(1, 5), min_size=1),
    losses=st.lists(st.booleans(), max_size=20),
    poison=st.lists(st.booleans(), max_size=20),
)
def test_whatever_goes_wrong_every_record_is_acknowledged_in_order(
    groups: list[int], losses: list[bool], poison: list[bool]
) -> None:
    sizes, lost, failing = iter(groups * 20), iter(losses), iter(poison)

    def answer(event: Event) -> Any:
        if next(failing, False):
            raise FunctionError
        return {"state": {}}

    faults = Faults(lambda due: min(due, next(sizes, due)), lambda: next(lost, False))
    mapping = Mapping("f", STREAM, batch_size=4, bisects=True)
    bench = Bench([record(n) for n in range(12)], Function(answer), mapping, faults)
    bench.run(steps=500)
    first_seen = list(dict.fromkeys(n for batch in bench.function.batches for n in batch))
    assert first_seen == list(range(12))
    assert bench.store.progress.acknowledged == Cursor("11", "11")
    for batch in bench.function.batches:
        assert batch == list(range(batch[0], batch[-1] + 1))
