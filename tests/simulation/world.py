"""One seed's world: storage in memory, the services as actors on it, and a virtual clock.

One thread, one random number generator a concern: the same options give the same trace. Actors run
inside one another where `Storm` lets them, so that every race that two machines can have at a
write happens here too.
"""

import hashlib
import json
import random
import secrets
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Protocol
from unittest import mock

from functions.aggregate import read_record
from local.streams.consumer import ShardConsumer, Step
from local.streams.model import Cursor, Event, Faults, FunctionError, Mapping, Progress
from local.streams.progress import MemoryProgress
from local.streams.shard import wire_format
from shared.adapters.dynamodb.barriers import SORT_KEY_PREFIX
from shared.domain.accounts import Account
from shared.domain.errors import InvalidError, MeterlineError
from shared.services.aggregate import Aggregator
from shared.services.billing_run import BillingRun
from shared.services.catalogue import CachedCatalogue, CatalogueService
from shared.services.ingest import Ingest
from shared.services.journal import AccountVersion, journal
from shared.services.redrive import NotApplicableError, Redrive
from shared.services.setting_aside import StreamRecord
from shared.services.standing import Books
from shared.services.test_clocks import TestClocks
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.catalogue import MemoryCatalogueStore
from tests.fakes.clocks import MovingClocks
from tests.fakes.events import MemoryBarrierStore, MemoryEventStore, MemoryIngestContext
from tests.fakes.streams import MemoryShard, MemoryStream, place_of, place_within
from tests.simulation.clients import Clients
from tests.simulation.faults import (
    Crash,
    FaultyBillingStore,
    FaultyCatalogueStore,
    FaultyEventStore,
    FaultyStore,
    SkewedClock,
    Storm,
)
from tests.simulation.lifetimes import Lifetimes
from tests.simulation.mending import SETTLE, Mending, troubles
from tests.simulation.mix import ZONES, Options, draw_mix
from tests.simulation.offers import METERS, a_plan, credit_units
from tests.simulation.outages import Outages
from tests.simulation.people import People

GRACE = timedelta(hours=1)
RETENTION = timedelta(hours=23)  # DynamoDB keeps stream records for 24 hours.
MAX_SETTLING_ROUNDS = 12
MAX_MENDING_DAYS = 12
MAX_EVENTS = 190
PERIODS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}


class Watcher(Protocol):
    """Looks at the world; only when it is settled must everything be right."""

    def __call__(self, world: "World", *, settled: bool) -> None: ...


class World:
    """Everything of one seed. `run` plays it; then what is stored can be audited."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.mix = draw_mix(options)
        self.rng = random.Random(f"{options.seed}/world")
        self.seen: Counter[str] = Counter()
        self.errors: list[str] = []
        self.now = self.mix.start
        self._hash = hashlib.sha256()
        self._busy: set[str] = set()
        self._failing: set[str] = set()
        self.customers = [f"c{n}" for n in range(1, self.mix.customers + 1)]
        hot = {c for c in self.customers if self.rng.random() < 0.6}
        # Which events one of several shards lost cannot always be told, nor which of the many that
        # fall into one quarter of an hour while a test clock stands.
        self._hot = set() if self.mix.rate("usage-outage") else hot
        self._zones = {c: self.rng.choice((None, *ZONES)) for c in self.customers}
        self._storage()
        self._offers()
        self._services()
        self._lives()

    # -- composition

    def _storage(self) -> None:
        self._records: dict[tuple[str, str], StreamRecord] = {}
        self._cures: dict[tuple[str, str], dict[str, Any]] = {}
        self.versions: list[tuple[Account | None, Account, datetime]] = []
        self.usage_stream = MemoryStream("usage", self._first_number)
        self.account_stream = MemoryStream("accounts", self._first_number)
        self.billing = MemoryBillingStore(self._account_written)
        self.events = MemoryEventStore(self._item_inserted)
        self.catalogue = MemoryCatalogueStore()
        storm_rng = random.Random(f"{self.options.seed}/storm")
        self.storm = Storm(storm_rng, self.mix, self.seen, self._elsewhere)
        self.store = FaultyBillingStore(self.billing, self.storm, self.seen)
        passing = MemoryBarrierStore(self._item_inserted)
        self.barriers: Any = FaultyStore(passing, self.storm, "send", "mark_passed")
        streams = {"usage": self.usage_stream, "account": self.account_stream}
        self.outages = Outages(storm_rng, self.storm, self.seen, streams)

    def _offers(self) -> None:
        """Publishes meters, units and plans; the first plan is the default, if any."""
        self.currency = self.rng.choice(("USD", "USD", "JPY", "BHD"))
        self._publisher = CatalogueService(self.catalogue)
        for unit in credit_units(self.currency):
            self._publisher.put_unit(unit, "tests", self.now)
        for meter in METERS:
            self._publisher.put_meter(meter, "tests", self.now)
        self.plans = ["basic", "plus", "pro"]
        self._default = self.rng.random() < 0.85
        for key in self.plans:
            self._publish(key)

    def _publish(self, key: str) -> None:
        """Publishes a drawn plan; one that does not fit is drawn again."""
        for _ in range(20):
            # A period much shorter than the seed is long would end by the dozen.
            longer = {"day": "week", "week": "month", "month": "month"}[self.mix.interval]
            interval = self.mix.interval if self.rng.random() < 0.8 else longer
            default = self._default and key == self.plans[0]
            plan = a_plan(self.rng, key, self.currency, interval, default=default)
            try:
                self._publisher.put_plan(plan, "tests", self.now)
            except InvalidError:
                continue
            return

    def _services(self) -> None:
        self._consumers: dict[str, ShardConsumer] = {}
        self._progress: dict[str, MemoryProgress] = {}
        self.queue: list[tuple[str, datetime]] = []
        rng = random.Random(f"{self.options.seed}/clients")
        self.clients = Clients(rng, self.storm, self.seen, self.now_of)
        units = [self.currency, "sparks", "coins"]
        rng = random.Random(f"{self.options.seed}/people")
        self.people = People(rng, self.seen, self.billing, units, self.plans)
        context = MemoryIngestContext(self.store, FaultyCatalogueStore(self.catalogue, self.storm))
        events = FaultyEventStore(self.events, self.storm, self._poisoned)
        # A clock that is far behind would refuse all usage as not yet happened.
        clock = self._clock(-2)
        self.ingest = Ingest(events, context, self._cached_catalogue(), clock)
        self.books = Books(self.store, self._cached_catalogue(), self._clock(), GRACE)
        run_catalogue = self._cached_catalogue()
        self.billing_run = BillingRun(
            self.store, self.barriers, run_catalogue, GRACE, lambda _: self._wait()
        )
        self._aggregators: dict[str, Aggregator] = {}
        lookup: Any = self.events  # Redriving looks events up by identity, and nothing else.
        self.redriving = Redrive(self.store, lookup, self._cached_catalogue(), self._clock(), GRACE)
        rng = random.Random(f"{self.options.seed}/mending")
        self.mending = Mending(rng, self.storm, self.seen, self.events, self._cures)
        self.mending.compose(
            store=self.store,
            barriers=self.barriers,
            catalogue=self._cached_catalogue(),
            clock=self._clock(),
            grace=GRACE,
            sleep=lambda _: self._wait(),
        )
        # What the last pass over each customer found that it should not have found.
        self.troubles: dict[str, list[str]] = {}

    def _lives(self) -> None:
        """Places some customers on test clocks, before anything is heard of them."""
        rng = random.Random(f"{self.options.seed}/clocks")
        step = self.mix.length / 30
        self.lifetimes = Lifetimes(rng, self.storm, self.seen, self.billing, step)
        moving: Any = FaultyStore(MovingClocks(self.billing), self.storm, "move")
        self.clocks = TestClocks(
            self.store, moving, self.barriers, self.billing_run, lambda _: self._wait_longer()
        )
        share = 0.0 if self.mix.rate("usage-outage") else self.mix.rate("test-clock")
        self.lifetimes.place(self.customers, share, self.now)
        self.storm.on = False
        for customer, clock in self.lifetimes.clock_of.items():
            zone = self._zones[customer] or "UTC"
            self.people.introduce(self.books, customer, zone, clock)
        self.storm.on = True

    def now_of(self, customer: str) -> datetime:
        """The customer's present: the world's, or its test clock's."""
        return self.lifetimes.now_of(customer, self.now)

    def _cached_catalogue(self) -> CachedCatalogue:
        """One container's copy."""
        store = FaultyCatalogueStore(self.catalogue, self.storm)
        return CachedCatalogue(store, self._seconds)

    def _seconds(self) -> float:
        return (self.now - self.mix.start).total_seconds()

    def _unix_seconds(self) -> float:
        return self.now.timestamp()

    def _clock(self, slowest: float = -10) -> SkewedClock:
        """One container's clock, up to ten minutes wrong."""
        minutes = self.rng.uniform(slowest, 10) if self.storm.strikes("skew", "clock skew") else 0
        return SkewedClock(lambda: self.now, timedelta(seconds=int(minutes * 60)))

    def _first_number(self) -> int:
        """A shard's first sequence number, a little below a power of ten."""
        exponent = self.rng.choice((2, 3, 21))
        return int(10**exponent) - self.rng.randint(1, 40)

    # -- streams

    def _item_inserted(self, item: Any) -> None:
        customer, key = item["pk"]["S"], item["sk"]["S"]
        place = place_within(key) if customer in self._hot else place_of(customer)
        change = {"Keys": {}, "NewImage": wire_format(item)}
        body = {"eventName": "INSERT", "dynamodb": change}
        self.usage_stream.put(place, body, self.now.timestamp())
        self._note("inserted", customer, key)

    def _account_written(self, before: Account | None, after: Account) -> None:
        self.versions.append((before, after, self.now))
        body: dict[str, Any] = {"dynamodb": {"Version": len(self.versions) - 1}}
        self.account_stream.put(place_of(after.customer), body, self.now.timestamp())
        self._note("account", after.customer, after.version, repr(after.phases), repr(after.late))

    def _poisoned(self, item: dict[str, Any]) -> dict[str, Any]:
        """The item, sometimes as no version of this code would write it."""
        if self.storm.strikes("foreign-attribute", "attribute of a newer version"):
            item = {**item, "from_a_newer_version": {"S": "?"}}
        place = item["pk"]["S"], item["sk"]["S"]
        if place in self.events.items or not self.storm.strikes("poison"):
            return item
        self._cures[place] = item
        match self.rng.randrange(3):
            case 0:
                return {**item, "data": {"S": "{not JSON"}}
            case 1:
                return {**item, "catalogue": {"N": "100000"}}
            case _:
                return {name: value for name, value in item.items() if name != "type"}

    def _consumer(self, shard: MemoryShard, invoke: Callable[[Event], Any]) -> ShardConsumer:
        if shard.shard_id not in self._consumers:
            progress = self._progress.setdefault(shard.shard_id, MemoryProgress())
            mapping = Mapping(
                shard.shard_id,
                "stream",
                batch_size=self.mix.batch_size,
                tumbling_window_seconds=self.mix.window_seconds,
                reports_item_failures=True,
                bisects=bool(self.mix.rate("bisect")),
            )
            self._consumers[shard.shard_id] = ShardConsumer(
                mapping=mapping,
                shard=shard,
                store=progress,
                invoke=invoke,
                discard=self._discarded,
                now=self._unix_seconds,
                faults=Faults(self._regroup, lambda: self.storm.strikes("lost-acknowledgement")),
            )
        return self._consumers[shard.shard_id]

    def _discarded(self, message: Event) -> None:
        raise AssertionError(f"no record may be given up: {message}")

    def _regroup(self, due: int) -> int:
        return self.rng.randint(1, due) if self.storm.strikes("regrouping") else due

    def drained(self, shard: MemoryShard) -> bool:
        """Whether everything in the shard is acknowledged."""
        if len(shard.records) == shard.trimmed:
            return True
        return self._acknowledged(shard) == shard.records[-1].cursor

    def _steppable(self, stream: MemoryStream) -> list[MemoryShard]:
        """The shards that may move now: not while they do, and parents before children."""
        unordered = stream is self.usage_stream and self.mix.rate("unordered-shards")
        return [
            shard
            for shard in stream.shards
            if shard.shard_id not in self._busy
            and not self.outages.stalls(shard)
            and (unordered or shard.parent is None or self.drained(shard.parent))
        ]

    def _move(self, shard: MemoryShard, handler: Callable[[str, Event], Any]) -> Step:
        """One step of the shard's consumer."""

        def invoke(event: Event) -> Any:
            try:
                return handler(shard.shard_id, event)
            except Crash as crash:
                self.seen["branch: function died, batch delivered again"] += 1
                raise FunctionError from crash
            except Exception as error:
                if not isinstance(error, MeterlineError):
                    self.errors.append(traceback.format_exc())
                raise FunctionError from error

        with self._occupied(shard.shard_id):
            step = self._consumer(shard, invoke).step()
        if step is Step.FAILED:
            self._failing.add(shard.shard_id)
        if step is Step.SETTLED:
            self._failing.discard(shard.shard_id)
        if step is not Step.IDLE:
            self._note("moved", shard.shard_id, step.value)
        return step

    @contextmanager
    def _occupied(self, name: str) -> Iterator[None]:
        self._busy.add(name)
        try:
            yield
        finally:
            self._busy.discard(name)

    # -- handlers

    def _aggregate(self, shard: str, event: Event) -> Any:
        records = [self._read(shard, record) for record in event["Records"]]
        if not records:
            return {"state": {}}
        self._observe(shard, records)
        if shard not in self._aggregators:
            self._aggregators[shard] = Aggregator(
                self.store, self.barriers, self._cached_catalogue(), self._clock(), GRACE
            )
        outcome = self._aggregators[shard].apply(shard, records)
        self.seen["branch: race lost by aggregation"] += outcome.conflicts
        self.seen["branch: record quarantined"] += outcome.quarantined
        if outcome.failed_from is None:
            return {"state": {}, "batchItemFailures": []}
        self.seen["branch: part of a batch delivered again"] += 1
        return {"state": {}, "batchItemFailures": [{"itemIdentifier": str(outcome.failed_from)}]}

    def _read(self, shard: str, record: Event) -> StreamRecord:
        """What the handler makes of the record; read once, as it never changes."""
        place = shard, record["eventID"]
        if place not in self._records:
            self._records[place] = read_record(record)
        return self._records[place]

    def _observe(self, shard: str, records: list[StreamRecord]) -> None:
        """Counts what redelivery, closed periods and quarantine will make of the records."""
        for record in records:
            account = self.billing.accounts.get(record.customer)
            if account is None or record.barrier is not None:
                continue
            if account.checkpoints.applied(shard, record.sequence):
                self.seen["branch: record skipped by checkpoint"] += 1
            elif record.key in self.billing.aside.get(record.customer, {}):
                self.seen["branch: record found in quarantine"] += 1
            elif record.event and record.event.occurred_at < account.phases[0].start:
                if account.phases[0].number > 1:
                    self.seen["branch: late event"] += 1
            elif record.event and record.event.occurred_at >= account.current.end:
                self.seen["branch: period opened by usage"] += 1

    def _journal(self, _: str, event: Event) -> Any:
        for record in event["Records"]:
            before, after, at = self.versions[record["dynamodb"]["Version"]]
            try:
                written = journal(self.store, AccountVersion(before, after, at))
            except MeterlineError:
                number = record["dynamodb"]["SequenceNumber"]
                return {"state": {}, "batchItemFailures": [{"itemIdentifier": number}]}
            self.seen["branch: entry journaled" if written else "branch: entry was there"] += 1
        return {"state": {}, "batchItemFailures": []}

    # -- actors

    def aggregate(self) -> Step:
        shards = self._steppable(self.usage_stream)
        waiting = [shard for shard in shards if not self.drained(shard)] or shards
        return self._move(self.rng.choice(waiting), self._aggregate) if waiting else Step.IDLE

    def react(self) -> Step:
        shards = self._steppable(self.account_stream)
        return self._move(self.rng.choice(shards), self._journal) if shards else Step.IDLE

    def send(self) -> None:
        enough = len(self.events.items) >= MAX_EVENTS
        if not enough and (self.rng.random() < 0.6 or not self.clients.outbox):
            self.clients.write(self.now, self.customers)
        self.now += timedelta(milliseconds=self.rng.randint(1, 500))  # No two at one instant.
        self.clients.send(self.now, self.ingest)

    def bill(self) -> None:
        """The schedule fires, or the queue delivers one of its messages."""
        if not self.queue or self.rng.random() < 0.4:
            if self.storm.strikes("missed-run", "billing fired 0 times"):
                return
            times = 1
            if self.storm.strikes("repeated-run", "billing fired 2 or 5 times"):
                times = self.rng.choice((2, 5))
            due = list(self.billing.due_customers(self.now))
            self.queue += [(customer, self.now) for customer in due] * times
            return
        message = self.rng.choice(self.queue)
        if self._bill(*message) and message in self.queue:
            self.queue.remove(message)

    def _bill(self, customer: str, as_of: datetime) -> bool:
        """One run; whether it came to its end."""
        try:
            steps = self.billing_run.bill(customer, as_of)
        except (Crash, MeterlineError):
            self.seen["branch: billing delayed"] += 1
            return False
        for step in steps:
            self.seen[f"branch: billing {step}"] += 1
        if not steps:
            self.seen["branch: billing found nothing to do"] += 1
        if steps.count("closed") > 1:
            self.seen["branch: billing caught up several periods"] += 1
        self._note("billed", customer, str(steps))
        return True

    def _wait(self) -> None:
        """What happens while a billing run sleeps: mostly, the stream moves."""
        if self.rng.random() < 0.7:
            self.act("aggregate")

    def _wait_longer(self) -> None:
        """What happens while a clock is advanced, which waits for the ledger as well."""
        self.act("aggregate")
        self.act("journal")

    def person(self) -> None:
        if not self.people.orders or self.rng.random() < 0.5:
            customer = self.rng.choice(self.customers)
            zone = self._zones[customer]
            if customer not in self.billing.profiles:
                if zone is not None:
                    self.people.introduce(self.books, customer, zone, None)
                return
            self.people.want(self.now_of(customer), customer)
        self.people.insist(self.books)

    def operator(self) -> None:
        """Publishing, splits of shards, containers that go."""
        if self.storm.strikes("publishing", "plan published"):
            self._publish(self.rng.choice(self.plans))
        if self.storm.strikes("split", "shard split"):
            leaves = [s for s in self.usage_stream.shards if not s.closed]
            if len(leaves) < 6 and self.outages.ends_at is None:
                self.usage_stream.split(self.rng.choice(leaves))
        if self.storm.strikes("restart", "container replaced"):
            for name in list(self._consumers):
                if name not in self._busy and self.rng.random() < 0.7:
                    del self._consumers[name]
                    self._aggregators.pop(name, None)
        if not self._failing:  # What is lost half applied cannot always be told.
            self.outages.strike(self.now)
        if self.outages.ends_at is not None and self.outages.ends_at <= self.now:
            self._end_outage()

    def _end_outage(self) -> None:
        """Consumers that stood still go on, from the oldest record that the stream still has."""
        for shard in self.outages.over():
            self.outages.trim(shard, self._acknowledged(shard), self.now)
            self._consumers.pop(shard.shard_id, None)

    def _acknowledged(self, shard: MemoryShard) -> Cursor | None:
        progress = self._progress.get(shard.shard_id)
        return progress.load().acknowledged if progress else None

    def reconcile(self) -> None:
        """The schedule, or a person, has a customer reconciled."""
        customer = self.rng.choice(self.customers)
        self.mending.reconcile(customer, again=self.rng.random() < 0.2)

    def clock(self) -> None:
        """Somebody advances a test clock, or asks again."""
        if self.lifetimes.wanted:
            clock = self.rng.choice(sorted(self.lifetimes.wanted))
            self.lifetimes.want(clock)
            self._advance(clock)

    def _advance(self, clock: str) -> None:
        if self.lifetimes.advance(self.clocks, clock):
            self._note("advanced", clock, self.billing.clocks[clock].isoformat())

    def redrive(self) -> None:
        """Somebody looks at the quarantine, repairs what is broken, and redrives it."""
        aside = [kept for records in self.billing.aside.values() for kept in records.values()]
        if not aside or self.rng.random() < 0.5:
            return
        kept = self.rng.choice(aside)
        key = kept.customer, kept.event_key
        if kept.redriven_at is not None:
            self.seen["branch: redriven again"] += 1
        elif self.rng.random() < 0.8:
            self.events.items[key] = self._cures.get(key, self.events.items[key])
        self.seen[f"branch: redrive, {self._redrive(*key)}"] += 1

    def _redrive(self, customer: str, key: str) -> str:
        try:
            outcome = self.redriving.redrive(customer, key, "tests")
        except NotApplicableError:
            return "still not applicable"
        return "applied" if outcome.now_applied else "was applied"

    def act(self, name: str) -> Any:
        """One step of an actor, by name; what goes wrong in it stays in it."""
        actors: dict[str, Callable[[], Any]] = {
            "send": self.send,
            "aggregate": self.aggregate,
            "journal": self.react,
            "bill": self.bill,
            "person": self.person,
            "redrive": self.redrive,
            "reconcile": self.reconcile,
            "clock": self.clock,
        }
        return self._safely(actors[name])

    def _safely(self, step: Callable[[], Any]) -> Any:
        """The step's result; an exception that nothing expects is kept, and the rest goes on."""
        try:
            return step()
        except (Crash, MeterlineError) as error:
            self._note("stopped", type(error).__name__)
        except Exception:  # noqa: BLE001
            self.errors.append(traceback.format_exc())
        return None

    def _elsewhere(self) -> None:
        """Some actor's step inside another's."""
        self.act(self._draw())

    def _draw(self) -> str:
        names = list(self.mix.weights)
        return self.rng.choices(names, [self.mix.weights[name] for name in names])[0]

    # -- time

    def run(self, watch: Watcher) -> None:
        """Plays the seed. `watch` looks at the world now and then, and when it is settled."""
        # Names that the system draws are the seed's, too.
        tokens = random.Random(f"{self.options.seed}/tokens")
        with mock.patch.object(secrets, "token_hex", lambda size: tokens.randbytes(size).hex()):
            self._run(watch)

    def _run(self, watch: Watcher) -> None:
        for step in range(self.mix.steps):
            self.operator()
            self.act(self._draw())
            self._pass_time()
            if step % 60 == 59:
                watch(self, settled=False)
        if self.outages.ends_at is not None:
            self.now = max(self.now, self.outages.ends_at)
            self._end_outage()
        self.settle()
        # Looking closely takes longer than the rest: the end alone shows nearly everything.
        closely = self.options.seed % 3 == 0
        if closely:
            self.mend()
        watch(self, settled=closely)
        length = PERIODS[self.mix.interval] + GRACE + timedelta(seconds=self.rng.randrange(9999))
        self.now += length
        for clock in self.lifetimes.wanted:
            self.lifetimes.wanted[clock] += length
        self.settle()
        self.mend()
        watch(self, settled=True)

    def _pass_time(self) -> None:
        """A little, or to a moment around which something falls due."""
        if self.rng.random() < 0.06 and self.billing.subscriptions:
            terms = self.billing.subscriptions[self.rng.choice(sorted(self.billing.subscriptions))]
            moment = terms.due_at + timedelta(seconds=self.rng.randint(-200, 200))
            if self.now < moment < self.now + self.mix.length / 4:
                self.now = max(self.now, min(moment, self._retained_until()))
                return
        seconds = self.mix.length.total_seconds() / max(self.mix.steps, 100)
        passed = timedelta(seconds=int(self.rng.expovariate(1 / seconds)))
        self.now = max(self.now, min(self.now + passed, self._retained_until()))

    def _retained_until(self) -> datetime:
        """When the streams would lose a record that is not acknowledged: time waits for it."""
        shards = [*self.usage_stream.shards, *self.account_stream.shards]
        waiting = [
            self._first_pending(shard)
            for shard in shards
            if not self.drained(shard) and not self.outages.stalls(shard)
        ]
        oldest = min(waiting, default=self.now.timestamp())
        return datetime.fromtimestamp(oldest, UTC) + RETENTION

    def _first_pending(self, shard: MemoryShard) -> float:
        """When the oldest record that is not acknowledged was made (Unix seconds)."""
        return shard.read(self._acknowledged(shard))[0].created_at

    def settle(self) -> None:
        """No more faults: everybody is answered, streams run dry, and what is due is done."""
        self.storm.on = False
        for _ in range(MAX_SETTLING_ROUNDS):
            before = self._hash.digest()
            for _ in range(20 * len(self.people.orders)):
                self._safely(lambda: self.people.insist(self.books))
            for letter in list(self.clients.outbox):
                self.now += timedelta(milliseconds=1)
                letter.not_before = self.now
                self._safely(lambda: self.clients.send(self.now, self.ingest))
            while self._drain():
                pass
            for clock, wanted in self.lifetimes.wanted.items():
                if self.billing.clocks[clock] != wanted:
                    self._safely(partial(self._advance, clock))
            due = list(self.billing.due_customers(self.now))
            self.queue.clear()
            for customer in due:
                self._safely(partial(self._bill, customer, self.now))
            if not due and self._hash.digest() == before:
                break
        self.storm.on = True

    def mend(self) -> None:
        """Days pass, without faults, until reconciliation has nothing left to do."""
        self._redeliver_verdicts()
        # Of what was lost, the youngest is judged when all of its hour has settled.
        settled = self.now + SETTLE + timedelta(hours=1) if self.outages.lost_at else self.now
        for _ in range(MAX_MENDING_DAYS):
            self.storm.on = False
            results = {c: self.mending.reconcile(c, again=True) for c in self.customers}
            self.troubles = troubles(results)
            self.mending.heed([each for found in self.troubles.values() for each in found])
            due = next(self.billing.due_customers(self.now), None)
            waits = due or self.now < settled or self.mending.waits()
            if not self.troubles and not waits:
                break
            self.now += timedelta(hours=25)
            self.settle()
        self.storm.on = True

    def _redeliver_verdicts(self) -> None:
        """Acknowledgements of quarantined records get lost, and are missed days later."""
        if not self.storm.strikes("overdue-redelivery", "quarantined record again days later"):
            return
        self.now += SETTLE + timedelta(hours=1)
        aside = {key for records in self.billing.aside.values() for key in records}
        for shard in self.usage_stream.shards:
            kept = shard.records[shard.trimmed :]
            keys = [r.body["dynamodb"]["NewImage"]["sk"]["S"] for r in kept]
            first = len(keys)
            while first and (
                keys[first - 1] in aside or keys[first - 1].startswith(SORT_KEY_PREFIX)
            ):
                first -= 1
            if first < len(keys) and aside.intersection(keys[first:]):
                self.seen["branch: verdict found days later"] += 1
                before = shard.records[shard.trimmed + first - 1].cursor if first else None
                self._progress[shard.shard_id].save(Progress(before))
                self._consumers.pop(shard.shard_id)
        self.settle()

    def _drain(self) -> bool:
        """One step of every shard; whether any moved on. A shard that only fails is stuck."""
        steps = [self._move(s, self._aggregate) for s in self._steppable(self.usage_stream)]
        steps += [self._move(s, self._journal) for s in self._steppable(self.account_stream)]
        return Step.SETTLED in steps

    @property
    def pending(self) -> int:
        """Records of events that no consumer has acknowledged."""
        barrier = SORT_KEY_PREFIX
        return sum(
            1
            for shard in self.usage_stream.shards
            if not self.drained(shard)
            for record in shard.read(self._acknowledged(shard))
            if not record.body["dynamodb"]["NewImage"]["sk"]["S"].startswith(barrier)
        )

    # -- trace

    def _note(self, *what: object) -> None:
        self._hash.update(json.dumps([self.now.isoformat(), *map(str, what)]).encode())

    def trace_hash(self) -> str:
        """One text for all that happened, in order."""
        return self._hash.hexdigest()
