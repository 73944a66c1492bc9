"""What happens in the demo: who the customers are, what they use when, and what is sent twice.

Everything follows from a seed, a month and the run's name. Customers are new in every run, so a
second run meets nothing of the first.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

EVENTS = 20_000
NEXT_PERIOD_SHARE = 0.01  # of all events
LATE_SHARE = 0.003
RESENT_SHARE = 0.03
# Of the resends; the rest follow later in the same stage.
SAME_BATCH_SHARE = 1 / 3
LATER_STAGE_SHARE = 1 / 6
AFTER_CLOSE_SHARE = 1 / 12
BATCH_EVENTS = 200
BUSY_HOURS = 6  # of a customer in a week
HELD_BACK_SHARE = 0.05  # of a week's events are sent only in the week after
SHUFFLED_SHARE = 0.15  # of a week's events leave their place in the order of time
GRACE = timedelta(hours=1)
JOIN_LATER_AFTER = timedelta(days=14, hours=9, minutes=30, seconds=17)

NAMES = (
    *("Acorn Robotics", "Birchwood Legal", "Cobalt Studios", "Driftwood Travel", "Ember Analytics"),
    *("Fernhill Clinic", "Granite Insurance", "Harbor Lines", "Indigo Learning", "Juniper Retail"),
    *("Kestrel Aviation", "Lantern Media", "Meadow Foods", "Northlight Energy", "Opal Finance"),
    *("Pinecrest Homes", "Quarry Tools", "Riverbend Bank", "Saffron Kitchens", "Tidewater Marine"),
    *("Umbra Security", "Vela Space", "Willow Health", "Yarrow Gardens", "Zephyr Mobility"),
)
FREE_CUSTOMERS = 11
LATE_JOINERS = 4

# Name, share of all its events, and the range of tokens that one completion takes.
MODELS = (("small", 60, (50, 1500)), ("large", 20, (200, 3800)), ("embedding", 20, (500, 2500)))


@dataclass(frozen=True, slots=True)
class Purchase:
    """Credits bought on joining; a low priority number is drawn before the plan's own credits."""

    amount: str
    priority: int
    cost_basis: str


@dataclass(frozen=True, slots=True)
class Customer:
    """`joins_stage` is the stage before which it signs up."""

    key: str
    name: str
    plan: str
    joins_at: datetime
    joins_stage: int = 0
    purchase: Purchase | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One usage event; `data` holds integers and decimal texts."""

    customer: str
    id: str
    type: str
    occurred_at: datetime
    data: dict[str, int | str]

    def json(self) -> str:
        """The CloudEvents JSON of the event."""
        return json.dumps(
            {
                "specversion": "1.0",
                "id": self.id,
                "source": "https://app.example.com/gateway",
                "type": self.type,
                "subject": self.customer,
                "time": time_text(self.occurred_at),
                "data": self.data,
            }
        )


Round = list[list[Event]]  # batches that may be sent all at once


@dataclass(slots=True)
class Stage:
    """A stretch of the run: the clock moves to `clock`, then the rounds are sent one by one.

    `events` are those sent for the first time; what the rounds hold beyond them are resends.
    """

    name: str
    clock: datetime
    events: list[Event] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scenario:
    """The whole month. The last two stages are after its close."""

    period_start: datetime
    period_end: datetime
    customers: tuple[Customer, ...]
    weeks: tuple[Stage, ...]
    grace: Stage
    next_period: Stage
    late: Stage

    @property
    def stages(self) -> tuple[Stage, ...]:
        """All stages in order of time."""
        return (*self.weeks, self.grace, self.next_period, self.late)


def build(seed: int, month: datetime, run: str, events: int = EVENTS) -> Scenario:
    """The scenario of a month (the UTC instant it starts at); `run` makes customer keys unique."""
    rng = random.Random(seed)  # noqa: S311  (repeatable on purpose)
    end = (month + timedelta(days=32)).replace(day=1)
    bounds = [
        month,
        month + timedelta(days=7),
        month + JOIN_LATER_AFTER,
        month + timedelta(days=22),
        end,
    ]
    customers = _customers(rng, month, run)
    weeks = [Stage(f"week {i}", bounds[i]) for i in range(1, 5)]
    weeks[-1].clock = end - timedelta(minutes=1)
    grace = Stage("grace period", end + GRACE / 3)
    after = Stage("next month", end + 3 * GRACE)
    late = Stage("late usage", end + 4 * GRACE)
    generator = _Generator(rng, customers)
    next_count, late_count = int(events * NEXT_PERIOD_SHARE), int(events * LATE_SHARE)
    weekly = _parts(events - next_count - late_count, len(weeks))
    for i, week in enumerate(weeks):
        week.events = generator.events(weekly[i], bounds[i], min(bounds[i + 1], week.clock))
    after.events = generator.events(next_count, end, after.clock)
    late.events = generator.events(late_count, bounds[3], end)
    _hold_back(rng, [*weeks, grace])
    stages = [*weeks, grace, after, late]
    for stage in stages:
        stage.rounds.append(_batches(_displaced(rng, stage.events)))
    _resend(rng, stages)
    return Scenario(month, end, customers, tuple(weeks), grace, after, late)


def _customers(rng: random.Random, month: datetime, run: str) -> tuple[Customer, ...]:
    names = rng.sample(NAMES, len(NAMES))
    customers = []
    for i, name in enumerate(names):
        joins_later = i % 6 == 1 and i // 6 < LATE_JOINERS
        customers.append(
            Customer(
                key=f"{name.lower().replace(' ', '-')}-{run}",
                name=name,
                plan="free" if i >= len(names) - FREE_CUSTOMERS else "pro",
                joins_at=month + JOIN_LATER_AFTER if joins_later else month,
                joins_stage=2 if joins_later else 0,
            )
        )
    # The heaviest users come first: those who buy credits are among them.
    purchases = {
        0: Purchase("500", 100, "0.008"),
        2: Purchase("250", 10, "0.009"),
        3: Purchase("3000", 100, "0.0075"),
    }
    return tuple(replace(c, purchase=purchases.get(i)) for i, c in enumerate(customers))


@dataclass(slots=True)
class _Generator:
    rng: random.Random
    customers: Sequence[Customer]
    made: int = 0

    def events(self, count: int, start: datetime, end: datetime) -> list[Event]:
        """Events with times in [start, end), in order of time."""
        customers = [c for c in self.customers if c.joins_at <= start]
        weights = [1 / (self.customers.index(c) + 4) for c in customers]
        busy = {c.key: self._busy_hours(start, end) for c in customers}
        chosen = self.rng.choices(customers, weights, k=count)
        times = [(self._time(busy[c.key], start, end), c.key) for c in chosen]
        return [self._event(customer, at) for at, customer in sorted(times)]

    def _busy_hours(self, start: datetime, end: datetime) -> list[datetime]:
        """People use an app in sessions: these are the hours in which a customer does."""
        span = int((end - start).total_seconds())
        moments = (start + timedelta(seconds=self.rng.randrange(span)) for _ in range(BUSY_HOURS))
        return [moment.replace(minute=0, second=0, microsecond=0) for moment in moments]

    def _time(self, busy: Sequence[datetime], start: datetime, end: datetime) -> datetime:
        moment = self.rng.choice(busy) + timedelta(milliseconds=self.rng.randrange(3_600_000))
        return min(max(moment, start), end - timedelta(milliseconds=1))

    def _event(self, customer: str, at: datetime) -> Event:
        self.made += 1
        kind, data = self._usage()
        return Event(customer, f"evt-{self.made:06d}", kind, at, data)

    def _usage(self) -> tuple[str, dict[str, int | str]]:
        rng = self.rng
        kind = rng.choices(("chat", "completion", "training", "storage"), (54, 36, 5, 5))[0]
        if kind == "chat":
            return "chat.message", {"channel": rng.choice(("web", "mobile", "api"))}
        if kind == "completion":
            [(model, _, (low, high))] = rng.choices(MODELS, [share for _, share, _ in MODELS])
            return "model.completion", {"model": model, "tokens": rng.randint(low, high)}
        if kind == "training":
            return "training.run", {"minutes": _places(rng.randint(1, 4000), 2)}
        return "storage.added", {"gb": _places(rng.randint(1, 12_000), 3)}


def _parts(count: int, parts: int) -> list[int]:
    """Nearly equal parts that add up to the count."""
    return [(count + i) // parts for i in range(parts)]


def _places(units: int, places: int) -> str:
    whole, part = divmod(units, 10**places)
    return f"{whole}.{part:0{places}d}"


def _hold_back(rng: random.Random, stages: Sequence[Stage]) -> None:
    """Moves some events to the stage after, so that they arrive long after their own time."""
    held: list[Event] = []
    for stage in stages:
        moving = set() if stage is stages[-1] else _sample(rng, stage.events, HELD_BACK_SHARE)
        kept = [e for i, e in enumerate(stage.events) if i not in moving]
        stage.events, held = kept + held, [stage.events[i] for i in sorted(moving)]


def _displaced(rng: random.Random, events: Sequence[Event]) -> list[Event]:
    moving = _sample(rng, events, SHUFFLED_SHARE)
    order = [e for i, e in enumerate(events) if i not in moving]
    for i in sorted(moving):
        order.insert(rng.randint(0, len(order)), events[i])
    return order


def _sample(rng: random.Random, events: Sequence[Event], share: float) -> set[int]:
    return set(rng.sample(range(len(events)), int(len(events) * share)))


def _batches(events: Sequence[Event]) -> Round:
    return [list(events[i : i + BATCH_EVENTS]) for i in range(0, len(events), BATCH_EVENTS)]


def _resend(rng: random.Random, stages: Sequence[Stage]) -> None:
    """Adds the resends: in the same batch, later in the stage, in later stages, after the close.

    A later resend is sent when the first sending was answered, and may say another time: the first
    one stands.
    """
    first = [(i, event) for i, stage in enumerate(stages) for event in stage.events]
    picked = rng.sample(first, int(len(first) * RESENT_SHARE))
    same_batch_count = int(len(picked) * SAME_BATCH_SHARE)
    after_close_count = int(len(picked) * AFTER_CLOSE_SHARE)
    later_stage_count = int(len(picked) * LATER_STAGE_SHARE)
    same_batch = {e.id for _, e in picked[:same_batch_count]}
    for each in stages:
        for batch in each.rounds[0]:
            batch += [event for event in batch if event.id in same_batch]
    again: list[list[Event]] = [[] for _ in stages]
    last = len(stages) - 1
    for n, (stage, event) in enumerate(picked[same_batch_count:]):
        if n < after_close_count:
            when = last
        elif n < after_close_count + later_stage_count:
            when = rng.randint(stage, last)
        else:
            when = stage
        again[when].append(_with_other_time(rng, event) if n % 3 == 0 else event)
    for each, events in zip(stages, again, strict=True):
        each.rounds.append(_batches(events))


def _with_other_time(rng: random.Random, event: Event) -> Event:
    moved = timedelta(seconds=rng.choice((-1, 7200, -90_000, -60 * 86_400)))
    return replace(event, occurred_at=event.occurred_at + moved)


def time_text(instant: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
