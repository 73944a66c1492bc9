"""One seed's world: storage in memory, the services as actors on it, and a virtual clock.

One thread, one random number generator a concern: the same options give the same trace. Actors run
inside one another where `Storm` lets them, so that every race that two machines can have at a
write happens here too.
"""

import random
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from shared.domain.errors import MeterlineError, UnavailableError
from shared.services.billing_run import BillingRun
from shared.services.correcting import Correcting
from shared.services.ingest import Ingest, Submission
from shared.services.redrive import NotApplicableError, Redrive
from shared.services.standing import Books
from shared.services.test_clocks import TestClocks
from tests.fakes.clocks import MovingClocks
from tests.fakes.events import MemoryIngestContext
from tests.simulation.clients import Clients
from tests.simulation.correctors import Correctors
from tests.simulation.delivery import Delivery
from tests.simulation.faults import Crash, FaultyStore
from tests.simulation.lifetimes import Lifetimes
from tests.simulation.market import Market
from tests.simulation.mending import Mending
from tests.simulation.mix import ZONES, Options, draw_mix
from tests.simulation.people import People
from tests.simulation.revaluing import a_revaluing
from tests.simulation.spending import Spending
from tests.simulation.tables import Tables
from tests.simulation.timeline import Timeline
from tests.simulation.wishes import Wishes

GRACE = timedelta(hours=1)
MAX_EVENTS = 190


class World:
    """Everything of one seed; `act` takes one step of one of its actors."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.mix = draw_mix(options)
        self.rng = random.Random(f"{options.seed}/world")
        self.timeline = Timeline(self.mix.start)
        self.customers = [f"c{n}" for n in range(1, self.mix.customers + 1)]
        hot = {c for c in self.customers if self.rng.random() < 0.6}
        self.zones = {c: self.rng.choice((None, *ZONES)) for c in self.customers}
        self.tables = Tables(
            options.seed,
            self.mix,
            self.timeline,
            self.rng,
            # Which events one of several shards lost cannot always be told, nor which of the many
            # that fall into one quarter of an hour while a test clock stands.
            hot=set() if self.mix.rate("usage-outage") else hot,
            elsewhere=self._elsewhere,
        )
        self.seen = self.tables.seen
        self.storm = self.tables.storm
        self.market = Market(self.rng, self.tables.catalogue, self.mix.interval, self.timeline.now)
        self.delivery = Delivery(self.tables, self.mix, self.rng, GRACE)
        self.errors = self.delivery.errors
        self._services()
        self._lives()

    # -- composition

    def _services(self) -> None:
        self.queue: list[tuple[str, datetime]] = []
        tables, seed = self.tables, self.options.seed
        rng = random.Random(f"{seed}/clients")
        self.clients = Clients(rng, self.storm, self.seen, self.now_of, self._reserved_by)
        rng = random.Random(f"{seed}/people")
        self.people = People(rng, self.seen, self.now_of)
        units, market = self.market.units, self.market
        self.wishes = Wishes(rng, tables.billing, units, market.plans)
        self.spending = Spending(
            rng, tables.billing, units, market.add_ons, self.clients.event, self._take
        )
        context = MemoryIngestContext(tables.store, tables.faulty_catalogue())
        # A clock that is far behind would refuse all usage as not yet happened.
        clock = tables.clock(-2)
        self.ingest = Ingest(tables.faulty_events, context, tables.cached_catalogue(), clock)
        self.books = Books(tables.store, tables.cached_catalogue(), tables.clock(), GRACE)
        at_hand = tables.store, tables.barriers, tables.cached_catalogue(), GRACE
        revalue = a_revaluing(tables).revalue
        self.billing_run = BillingRun(*at_hand, self._wait, revalue)
        lookup: Any = tables.events  # Redriving looks events up by identity, and nothing else.
        self.redriving = Redrive(
            store=tables.store,
            events=lookup,
            catalogue=tables.cached_catalogue(),
            clock=tables.clock(),
            grace=GRACE,
            revalue=revalue,
        )
        correcting = Correcting(
            store=tables.store,
            corrections=tables.corrections,
            catalogue=tables.cached_catalogue(),
            clock=tables.clock(),
            is_backfilled=lambda _: False,
            count_again=lambda *_: None,
        )
        rng = random.Random(f"{seed}/correctors")
        self.correctors = Correctors(rng, tables.events, correcting, self.clients.data)
        rng = random.Random(f"{seed}/mending")
        self.mending = Mending(rng, self.storm, self.seen, tables.events, tables.cured)
        self.mending.compose(
            store=tables.store,
            barriers=tables.barriers,
            catalogue=tables.cached_catalogue(),
            clock=tables.clock(),
            grace=GRACE,
            sleep=self._wait,
        )

    def _lives(self) -> None:
        """Places some customers on test clocks, before anything is heard of them."""
        rng = random.Random(f"{self.options.seed}/clocks")
        step, billing = self.mix.length / 30, self.tables.billing
        self.lifetimes = Lifetimes(rng, self.storm, self.seen, billing, step)
        moving: Any = FaultyStore(MovingClocks(billing), self.storm, "move")
        self.clocks = TestClocks(
            self.tables.store,
            moving,
            self.tables.barriers,
            self.billing_run,
            self._wait_longer,
        )
        share = 0.0 if self.mix.rate("usage-outage") else self.mix.rate("test-clock")
        self.lifetimes.place(self.customers, share, self.timeline.now)
        self.storm.on = False
        for customer, clock in self.lifetimes.clock_of.items():
            zone = self.zones[customer] or "UTC"
            self.people.introduce(self.books, customer, zone, clock)
        self.storm.on = True

    def now_of(self, customer: str) -> datetime:
        """The customer's present: the world's, or its test clock's."""
        return self.lifetimes.now_of(customer, self.timeline.now)

    # -- actors

    def act(self, name: str) -> Any:
        """One step of an actor, by name; what goes wrong in it stays in it."""
        actors: dict[str, Callable[[], Any]] = {
            "send": self._send,
            "aggregate": self.delivery.aggregate,
            "journal": self.delivery.journal,
            "bill": self._bill_somebody,
            "person": self._person,
            "redrive": self._redrive,
            "reconcile": self._reconcile,
            "clock": self._clock,
            "spend": self._spend,
            "correct": self._correct,
        }
        return self.safely(actors[name])

    def safely(self, step: Callable[[], Any]) -> Any:
        """The step's result; an exception that nothing expects is kept, and the rest goes on."""
        try:
            return step()
        except (Crash, MeterlineError) as error:
            self.timeline.note("stopped", type(error).__name__)
        except Exception:  # noqa: BLE001
            self.errors.append(traceback.format_exc())
        return None

    def draw(self) -> str:
        """Some actor's name."""
        names = list(self.mix.weights)
        return self.rng.choices(names, [self.mix.weights[name] for name in names])[0]

    def _elsewhere(self) -> None:
        """Some actor's step inside another's."""
        self.act(self.draw())

    def _send(self) -> None:
        enough = len(self.tables.events.items) >= MAX_EVENTS
        if not enough and (self.rng.random() < 0.6 or not self.clients.outbox):
            self.clients.write(self.timeline.now, self.customers)
        # No two at one instant.
        self.timeline.now += timedelta(milliseconds=self.rng.randint(1, 500))
        self.clients.send(self.timeline.now, self.ingest)

    def _bill_somebody(self) -> None:
        """The schedule fires, or the queue delivers one of its messages."""
        if not self.queue or self.rng.random() < 0.4:
            if self.storm.strikes("missed-run", "billing fired 0 times"):
                return
            times = 1
            if self.storm.strikes("repeated-run", "billing fired 2 or 5 times"):
                times = self.rng.choice((2, 5))
            now = self.timeline.now
            due = list(self.tables.billing.due_customers(now))
            self.queue += [(customer, now) for customer in due] * times
            return
        message = self.rng.choice(self.queue)
        if self.bill(*message) and message in self.queue:
            self.queue.remove(message)

    def bill(self, customer: str, as_of: datetime) -> bool:
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
        self.timeline.note("billed", customer, str(steps))
        return True

    def _wait(self, seconds: float) -> None:
        """What happens while a billing run sleeps: mostly, the stream moves."""
        self.timeline.now += timedelta(seconds=seconds)
        if self.rng.random() < 0.7:
            self.act("aggregate")

    def _wait_longer(self, seconds: float) -> None:
        """What happens while a clock is advanced, which waits for the ledger as well."""
        self.timeline.now += timedelta(seconds=seconds)
        self.act("aggregate")
        self.act("journal")

    def _person(self) -> None:
        if not self.people.orders or self.rng.random() < 0.5:
            customer = self.rng.choice(self.customers)
            zone = self.zones[customer]
            if customer not in self.tables.billing.profiles:
                if zone is not None:
                    self.people.introduce(self.books, customer, zone, None)
                return
            self.people.want(customer, self.wishes.draw(self.now_of(customer), customer))
        self.people.insist(self.books)

    def _spend(self) -> None:
        customer = self.rng.choice(self.customers)
        if customer in self.tables.billing.profiles:
            self.people.want(customer, self.spending.draw(customer))
        self.people.insist(self.books)

    def _correct(self) -> None:
        customer = self.rng.choice(self.customers)
        wish = self.correctors.draw(customer)
        if wish is not None and len(self.tables.events.items) < MAX_EVENTS:
            self.people.want(customer, wish)
        self.people.insist(self.books)

    def _take(self, usage: Submission) -> None:
        """Has an event stored by itself."""
        if self.ingest.take([usage]).outcomes[0] not in ("accepted", "duplicate"):
            raise UnavailableError("nothing is known of the event")

    def _reserved_by(self, customer: str) -> list[str]:
        held = self.tables.billing.reservations_of.get(customer, {}).values()
        return sorted(each.id for each in held if each.status == "open")

    def operate(self) -> None:
        """Publishing, splits of shards, containers that go."""
        if self.storm.strikes("publishing", "plan or add-on published"):
            self.market.publish(self.timeline.now)
        outages = self.tables.outages
        if self.storm.strikes("split", "shard split"):
            leaves = [s for s in self.tables.usage_stream.shards if not s.closed]
            if len(leaves) < 6 and outages.ends_at is None:
                self.tables.usage_stream.split(self.rng.choice(leaves))
        if self.storm.strikes("restart", "container replaced"):
            self.delivery.restart()
        if not self.delivery.failing:  # What is lost half applied cannot always be told.
            outages.strike(self.timeline.now)
        if outages.ends_at is not None and outages.ends_at <= self.timeline.now:
            self.delivery.end_outage()

    def _reconcile(self) -> None:
        """The schedule, or a person, has a customer reconciled."""
        customer = self.rng.choice(self.customers)
        self.mending.reconcile(customer, again=self.rng.random() < 0.2)

    def _clock(self) -> None:
        """Somebody advances a test clock, or asks again."""
        if self.lifetimes.wanted:
            clock = self.rng.choice(sorted(self.lifetimes.wanted))
            self.lifetimes.want(clock)
            self.advance(clock)

    def advance(self, clock: str) -> None:
        """Advances a test clock to where people want it."""
        if self.lifetimes.advance(self.clocks, clock):
            self.timeline.note("advanced", clock, self.tables.billing.clocks[clock].isoformat())

    def _redrive(self) -> None:
        """Somebody looks at the quarantine, repairs what is broken, and redrives it."""
        aside = [k for records in self.tables.billing.aside.values() for k in records.values()]
        if not aside or self.rng.random() < 0.5:
            return
        kept = self.rng.choice(aside)
        key = kept.customer, kept.event_key
        if kept.redriven_at is not None:
            self.seen["branch: redriven again"] += 1
        elif self.rng.random() < 0.8:
            self.tables.events.items[key] = self.tables.cured(key)
        try:
            outcome = self.redriving.redrive(*key, "tests")
        except NotApplicableError:
            said = "still not applicable"
        else:
            said = "applied" if outcome.now_applied else "was applied"
        self.seen[f"branch: redrive, {said}"] += 1
