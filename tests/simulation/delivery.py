"""How stored items reach the functions: the streams' consumers, as the deployed stack has them."""

import random
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from functions.aggregate import read_record
from local.streams.consumer import ShardConsumer, Step
from local.streams.model import Cursor, Event, Faults, FunctionError, Mapping, Progress
from local.streams.progress import MemoryProgress
from shared.adapters.dynamodb.barriers import SORT_KEY_PREFIX
from shared.domain.errors import MeterlineError
from shared.services.aggregate import Aggregator
from shared.services.journal import AccountVersion, journal
from shared.services.setting_aside import StreamRecord
from tests.fakes.streams import MemoryShard, MemoryStream
from tests.simulation.faults import Crash
from tests.simulation.mix import Mix
from tests.simulation.revaluing import a_revaluing
from tests.simulation.tables import Tables

RETENTION = timedelta(hours=23)  # DynamoDB keeps stream records for 24 hours.
# So often a batch is halved down to the record that must wait, with some to spare.
MAX_FAILURES = 12


class Delivery:
    """The consumers of both streams. `errors` are exceptions that nothing expects."""

    def __init__(self, tables: Tables, mix: Mix, rng: random.Random, grace: timedelta) -> None:
        self.errors: list[str] = []
        # By shard the number of the last record that was delivered in vain: until all up to it is
        # applied, in halves or not, anything of it may be half applied.
        self.failing: dict[str, int] = {}
        self._tables = tables
        self._storm = tables.storm
        self._seen = tables.seen
        self._timeline = tables.timeline
        self._mix = mix
        self._rng = rng
        self._grace = grace
        self._busy: set[str] = set()
        self._consumers: dict[str, ShardConsumer] = {}
        self._progress: dict[str, MemoryProgress] = {}
        self._aggregators: dict[str, Aggregator] = {}
        self._records: dict[tuple[str, str], StreamRecord] = {}

    def aggregate(self) -> Step:
        """One step of some shard of the usage stream."""
        shards = self._steppable(self._tables.usage_stream)
        waiting = [shard for shard in shards if not self.drained(shard)] or shards
        return self._move(self._rng.choice(waiting), self._aggregate) if waiting else Step.IDLE

    def journal(self) -> Step:
        """One step of some shard of the accounts' stream."""
        shards = self._steppable(self._tables.account_stream)
        return self._move(self._rng.choice(shards), self._journal) if shards else Step.IDLE

    def drain(self) -> None:
        """Steps of every shard until none moves on; one that often fails rests for now."""
        tables, failures = self._tables, Counter[str]()
        streams = ((tables.usage_stream, self._aggregate), (tables.account_stream, self._journal))
        moved = True
        while moved:
            moved = False
            for stream, handler in streams:
                for shard in self._steppable(stream):
                    if failures[shard.shard_id] < MAX_FAILURES:
                        step = self._move(shard, handler)
                        failures[shard.shard_id] += step is Step.FAILED
                        moved |= step is Step.SETTLED

    def drained(self, shard: MemoryShard) -> bool:
        """Whether everything in the shard is acknowledged."""
        if len(shard.records) == shard.trimmed:
            return True
        return self._acknowledged(shard) == shard.records[-1].cursor

    def restart(self) -> None:
        """Containers go, and what they remembered."""
        for name in list(self._consumers):
            if name not in self._busy and self._rng.random() < 0.7:
                del self._consumers[name]
                self._aggregators.pop(name, None)

    def end_outage(self) -> None:
        """Consumers that stood still go on, from the oldest record that the stream still has."""
        outages = self._tables.outages
        for shard in outages.over():
            outages.trim(shard, self._acknowledged(shard), self._timeline.now)
            self._consumers.pop(shard.shard_id, None)

    def redeliver_verdicts(self) -> bool:
        """Has the quarantined records at a shard's end delivered again; whether there were any."""
        aside = {key for records in self._tables.billing.aside.values() for key in records}
        found = False
        for shard in self._tables.usage_stream.shards:
            kept = shard.records[shard.trimmed :]
            keys = [r.body["dynamodb"]["NewImage"]["sk"]["S"] for r in kept]
            first = len(keys)
            while first and (
                keys[first - 1] in aside or keys[first - 1].startswith(SORT_KEY_PREFIX)
            ):
                first -= 1
            if first < len(keys) and aside.intersection(keys[first:]):
                found = True
                before = shard.records[shard.trimmed + first - 1].cursor if first else None
                self._progress[shard.shard_id].save(Progress(before))
                self._consumers.pop(shard.shard_id)
        return found

    def retained_until(self) -> datetime:
        """When the streams would lose a record that is not acknowledged: time waits for it."""
        shards = [*self._tables.usage_stream.shards, *self._tables.account_stream.shards]
        waiting = [
            self._first_pending(shard)
            for shard in shards
            if not self.drained(shard) and not self._tables.outages.stalls(shard)
        ]
        oldest = min(waiting, default=self._timeline.unix_seconds())
        return datetime.fromtimestamp(oldest, UTC) + RETENTION

    @property
    def pending(self) -> int:
        """Records of events that no consumer has acknowledged."""
        return sum(
            1
            for shard in self._tables.usage_stream.shards
            if not self.drained(shard)
            for record in shard.read(self._acknowledged(shard))
            if not record.body["dynamodb"]["NewImage"]["sk"]["S"].startswith(SORT_KEY_PREFIX)
        )

    # -- consumers

    def _consumer(self, shard: MemoryShard, invoke: Callable[[Event], Any]) -> ShardConsumer:
        if shard.shard_id not in self._consumers:
            progress = self._progress.setdefault(shard.shard_id, MemoryProgress())
            mapping = Mapping(
                shard.shard_id,
                "stream",
                batch_size=self._mix.batch_size,
                tumbling_window_seconds=self._mix.window_seconds,
                reports_item_failures=True,
                bisects=bool(self._mix.rate("bisect")),
            )
            self._consumers[shard.shard_id] = ShardConsumer(
                mapping=mapping,
                shard=shard,
                store=progress,
                invoke=invoke,
                discard=self._discarded,
                now=self._timeline.unix_seconds,
                faults=Faults(self._regroup, lambda: self._storm.strikes("lost-acknowledgement")),
            )
        return self._consumers[shard.shard_id]

    def _discarded(self, message: Event) -> None:
        raise AssertionError(f"no record may be given up: {message}")

    def _regroup(self, due: int) -> int:
        return self._rng.randint(1, due) if self._storm.strikes("regrouping") else due

    def _steppable(self, stream: MemoryStream) -> list[MemoryShard]:
        """The shards that may move now: not while they do, and parents before children."""
        usage = stream is self._tables.usage_stream
        unordered = usage and self._mix.rate("unordered-shards")
        return [
            shard
            for shard in stream.shards
            if shard.shard_id not in self._busy
            and not self._tables.outages.stalls(shard)
            and (unordered or shard.parent is None or self.drained(shard.parent))
        ]

    def _move(self, shard: MemoryShard, handler: Callable[[str, Event], Any]) -> Step:
        """One step of the shard's consumer."""

        def invoke(event: Event) -> Any:
            last = max((int(r["dynamodb"]["SequenceNumber"]) for r in event["Records"]), default=0)
            before = self.failing.get(shard.shard_id, 0)
            self.failing[shard.shard_id] = max(before, last)
            try:
                answer = handler(shard.shard_id, event)
            except Crash as crash:
                self._seen["branch: function died, batch delivered again"] += 1
                raise FunctionError from crash
            except Exception as error:
                if not isinstance(error, MeterlineError):
                    self.errors.append(traceback.format_exc())
                raise FunctionError from error
            if last >= before and not answer.get("batchItemFailures"):
                del self.failing[shard.shard_id]
            return answer

        with self._occupied(shard.shard_id):
            step = self._consumer(shard, invoke).step()
        if step is not Step.IDLE:
            self._timeline.note("moved", shard.shard_id, step.value)
        return step

    @contextmanager
    def _occupied(self, name: str) -> Iterator[None]:
        self._busy.add(name)
        try:
            yield
        finally:
            self._busy.discard(name)

    def _acknowledged(self, shard: MemoryShard) -> Cursor | None:
        progress = self._progress.get(shard.shard_id)
        return progress.load().acknowledged if progress else None

    def _first_pending(self, shard: MemoryShard) -> float:
        """When the oldest record that is not acknowledged was made (Unix seconds)."""
        return shard.read(self._acknowledged(shard))[0].created_at

    # -- handlers

    def _aggregate(self, shard: str, event: Event) -> Any:
        records = [self._read(shard, record) for record in event["Records"]]
        if not records:
            return {"state": {}}
        self._observe(shard, records)
        tables = self._tables
        if shard not in self._aggregators:
            self._aggregators[shard] = Aggregator(
                tables.store,
                tables.barriers,
                tables.cached_catalogue(),
                tables.clock(),
                self._grace,
                a_revaluing(tables).revalue,
            )
        outcome = self._aggregators[shard].apply(shard, records)
        self._seen["branch: race lost by aggregation"] += outcome.conflicts
        self._seen["branch: record quarantined"] += outcome.quarantined
        if outcome.failed_from is None:
            return {"state": {}, "batchItemFailures": []}
        self._seen["branch: part of a batch delivered again"] += 1
        return {"state": {}, "batchItemFailures": [{"itemIdentifier": str(outcome.failed_from)}]}

    def _read(self, shard: str, record: Event) -> StreamRecord:
        """What the handler makes of the record; read once, as it never changes."""
        place = shard, record["eventID"]
        if place not in self._records:
            self._records[place] = read_record(record)
        return self._records[place]

    def _observe(self, shard: str, records: list[StreamRecord]) -> None:
        """Counts what redelivery, closed periods and quarantine will make of the records."""
        billing = self._tables.billing
        for record in records:
            account = billing.accounts.get(record.customer)
            if account is None or record.barrier is not None:
                continue
            if account.checkpoints.applied(shard, record.sequence):
                self._seen["branch: record skipped by checkpoint"] += 1
            elif record.key in billing.aside.get(record.customer, {}):
                self._seen["branch: record found in quarantine"] += 1
            elif record.event and record.event.occurred_at < account.phases[0].start:
                if account.phases[0].number > 1:
                    self._seen["branch: late event"] += 1
            elif record.event and record.event.occurred_at >= account.current.end:
                self._seen["branch: period opened by usage"] += 1

    def _journal(self, _: str, event: Event) -> Any:
        for record in event["Records"]:
            before, after, at = self._tables.versions[record["dynamodb"]["Version"]]
            try:
                written = journal(self._tables.store, AccountVersion(before, after, at))
            except MeterlineError:
                number = record["dynamodb"]["SequenceNumber"]
                return {"state": {}, "batchItemFailures": [{"itemIdentifier": number}]}
            self._seen["branch: entry journaled" if written else "branch: entry was there"] += 1
        return {"state": {}, "batchItemFailures": []}
