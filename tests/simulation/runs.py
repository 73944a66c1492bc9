"""One seed, played and judged."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

from shared.adapters.dynamodb.attributes import from_attribute
from shared.domain import dimension_cap
from tests.simulation.auditor import Evidence, Finding, Watch, audit
from tests.simulation.mix import Options
from tests.simulation.offers import MAX_GROUPS
from tests.simulation.plain import plain_account, plain_catalogue, plain_customer
from tests.simulation.playing import run
from tests.simulation.world import GRACE, World

TEXTS = ("pk", "sk", "source", "id", "type", "occurred_at", "received_at", "data")


@dataclass
class Verdict:
    """What one seed came to."""

    options: Options
    findings: list[Finding] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    events: int = 0
    trace: str = ""


def play(options: Options) -> Verdict:
    """Runs the seed, audits it when it is settled, and watches it on the way."""
    with mock.patch.object(dimension_cap, "MAX_GROUPS", MAX_GROUPS):
        return _play(options)


def _play(options: Options) -> Verdict:
    world = World(options)
    watch = Watch()
    verdict = Verdict(options)

    def look(world: World, *, settled: bool) -> None:
        if not verdict.findings:
            evidence = evidence_of(world, settled=settled)
            verdict.findings += watch.look(evidence.customers)
            verdict.findings += audit(evidence)

    run(world, look)
    verdict.errors = world.errors
    verdict.seen = world.seen
    verdict.events = len(world.tables.events.items)
    verdict.trace = world.timeline.trace
    return verdict


def evidence_of(world: World, *, settled: bool) -> Evidence:
    """What the auditor may see."""
    store, tables = world.tables.billing, world.tables
    history: dict[str, list[dict[str, Any]]] = {}
    if settled:
        for _, after, _ in tables.versions:
            history.setdefault(after.customer, []).append(plain_account(after))
    lost = [tables.versions[place][1] for place in tables.outages.lost_versions]
    return Evidence(
        settled=settled,
        raw=[plain_raw(item) for item in tables.events.items.values()] if settled else [],
        acknowledged=world.clients.acknowledged,
        catalogue={
            **plain_catalogue(tables.catalogue.catalogue),
            "version": tables.catalogue.catalogue.version,
            "max_groups": MAX_GROUPS,
        },
        customers={key: plain_customer(store, key) for key in sorted(store.accounts)},
        versions=history,
        numbers=dict(store.numbers),
        orders=list(world.people.told()),
        contradictions=world.people.contradictions,
        pending=world.delivery.pending,
        lost=tables.outages.lost,
        lost_versions={(a.customer, a.version) for a in lost},
        troubles=world.mending.troubles,
        now={key: world.now_of(key) for key in world.customers},
        grace_seconds=int(GRACE.total_seconds()),
    )


def plain_raw(item: Any) -> dict[str, Any]:
    """A raw event's attributes without their types."""
    plain: dict[str, Any] = {name: item[name]["S"] for name in TEXTS if name in item}
    if "correction" in item:
        plain["correction"] = from_attribute(item["correction"])
    if "extensions" in item:
        plain["extensions"] = item["extensions"]["S"]
    return {
        **plain,
        "catalogue": item["catalogue"]["N"],
        "fingerprint": bytes(item["fingerprint"]["B"]).hex(),
    }
