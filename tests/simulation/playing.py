"""How a world is played: steps while faults strike, then rest, days of mending, and looks at it."""

import random
import secrets
from datetime import timedelta
from functools import partial
from typing import Protocol
from unittest import mock

from tests.simulation.clients import Letter
from tests.simulation.mending import SETTLE, troubles
from tests.simulation.world import GRACE, World

MAX_SETTLING_ROUNDS = 12
MAX_MENDING_DAYS = 12
# Longer than the clocks of two containers are apart, by which one waits for what another took in.
MAX_RETRIES = 60
RETRY_AFTER = timedelta(seconds=30)
PERIODS = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=31)}


class Watcher(Protocol):
    """Looks at the world; only when it is settled must everything be right."""

    def __call__(self, world: World, *, settled: bool) -> None: ...


def run(world: World, watch: Watcher) -> None:
    """Plays the seed. `watch` looks at the world now and then, and when it is settled."""
    # Names that the system draws are the seed's, too.
    tokens = random.Random(f"{world.options.seed}/tokens")
    with mock.patch.object(secrets, "token_hex", lambda size: tokens.randbytes(size).hex()):
        _run(world, watch)


def _run(world: World, watch: Watcher) -> None:
    for step in range(world.mix.steps):
        world.operate()
        world.act(world.draw())
        _pass_time(world)
        if step % 60 == 59:
            watch(world, settled=False)
    ends_at = world.tables.outages.ends_at
    if ends_at is not None:
        world.timeline.now = max(world.timeline.now, ends_at)
        world.delivery.end_outage()
    settle(world)
    # Looking closely takes longer than the rest: the end alone shows nearly everything.
    closely = world.options.seed % 3 == 0
    if closely:
        mend(world)
    watch(world, settled=closely)
    length = PERIODS[world.mix.interval] + GRACE + timedelta(seconds=world.rng.randrange(9999))
    world.timeline.now += length
    for clock in world.lifetimes.wanted:
        world.lifetimes.wanted[clock] += length
    settle(world)
    mend(world)
    watch(world, settled=True)


def _pass_time(world: World) -> None:
    """A little, or to a moment around which something falls due."""
    now, rng = world.timeline.now, world.rng
    subscriptions = world.tables.billing.subscriptions
    if rng.random() < 0.06 and subscriptions:
        terms = subscriptions[rng.choice(sorted(subscriptions))]
        moment = terms.due_at + timedelta(seconds=rng.randint(-200, 200))
        if now < moment < now + world.mix.length / 4:
            world.timeline.now = max(now, min(moment, world.delivery.retained_until()))
            return
    seconds = world.mix.length.total_seconds() / max(world.mix.steps, 100)
    passed = timedelta(seconds=int(rng.expovariate(1 / seconds)))
    world.timeline.now = max(now, min(now + passed, world.delivery.retained_until()))


def settle(world: World) -> None:
    """No more faults: everybody is answered, streams run dry, and what is due is done."""
    billing, timeline = world.tables.billing, world.timeline
    world.storm.on = False
    for _ in range(MAX_SETTLING_ROUNDS):
        before = timeline.trace
        for _ in range(20 * len(world.people.orders)):
            world.safely(lambda: world.people.insist(world.books))
        for letter in list(world.clients.outbox):
            timeline.now += timedelta(milliseconds=1)
            letter.not_before = timeline.now
            world.safely(lambda: world.clients.send(timeline.now, world.ingest))
        _drain(world)
        for clock, wanted in world.lifetimes.wanted.items():
            if billing.clocks[clock] != wanted:
                world.safely(partial(world.advance, clock))
        due = list(billing.due_customers(timeline.now))
        world.queue.clear()
        for customer in due:
            world.safely(partial(world.bill, customer, timeline.now))
        if not due and timeline.trace == before:
            break
    world.storm.on = True


def _drain(world: World) -> None:
    """Streams run dry; a batch that waits for something does so for no longer than it would."""
    for _ in range(MAX_RETRIES):
        world.delivery.drain()
        if not world.delivery.failing:
            return
        world.timeline.now += RETRY_AFTER


def mend(world: World) -> None:
    """Days pass, without faults, until reconciliation has nothing left to do."""
    _redeliver_verdicts(world)
    timeline, mending, outages = world.timeline, world.mending, world.tables.outages
    # Of what was lost, the youngest is judged when all of its hour has settled.
    settled = timeline.now + SETTLE + timedelta(hours=1) if outages.lost_at else timeline.now
    for _ in range(MAX_MENDING_DAYS):
        world.storm.on = False
        results = {c: mending.reconcile(c, again=True) for c in world.customers}
        mending.troubles = troubles(results)
        mending.heed([each for found in mending.troubles.values() for each in found])
        due = next(world.tables.billing.due_customers(timeline.now), None)
        if not mending.troubles and not (due or timeline.now < settled or mending.waits()):
            break
        timeline.now += timedelta(hours=25)
        settle(world)
    world.storm.on = True


def _redeliver_verdicts(world: World) -> None:
    """Acknowledgements of quarantined records get lost, and are missed days later."""
    if not world.storm.strikes("overdue-redelivery", "quarantined record again days later"):
        return
    # The last record of a shard is one that cannot be read: nothing behind it comes again.
    world.tables.poison_next = True
    last = world.clients.event(world.rng.choice(world.customers))
    world.clients.outbox.append(Letter([last], world.timeline.now))
    settle(world)
    world.timeline.now += SETTLE + timedelta(hours=1)
    if world.delivery.redeliver_verdicts():
        world.seen["branch: verdict found days later"] += 1
    settle(world)
