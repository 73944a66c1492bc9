"""The catalogue on a real DynamoDB engine: exact round trips, versions, races, the audit trail."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from cli.catalogue_file import CatalogueFile
from local.emulator import Aws
from local.home import REPOSITORY
from shared.adapters.dynamodb.attributes import from_item, to_item
from shared.adapters.dynamodb.catalogue import HEAD, DynamoCatalogueStore
from shared.domain.catalogue import (
    Allowance,
    CreditUnit,
    IncludedCredits,
    Meter,
    Plan,
    Rate,
    UnitValue,
)
from shared.domain.errors import UnavailableError, VersionConflictError
from shared.domain.prices import Graduated, PerUnit, Tier
from shared.domain.publishing import Publication
from shared.services.catalogue import CachedCatalogue, CatalogueService
from shared.services.changes import PutAudit
from tests.integration.api import Api
from tests.integration.conftest import Tables

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
METER = Meter(
    key="tokens",
    event_type="ai.completion",
    aggregation="sum",
    value="tokens",
    dimensions=("model", "region"),
    filter={"tier": ("paid", "trial")},
)
UNIT = CreditUnit(
    key="sparks",
    name="Sparks",
    decimals=2,
    values=(UnitValue(datetime(2020, 1, 1, tzinfo=UTC), "USD", Decimal("0.012345678901")),),
)
PLAN = Plan(
    key="pro",
    version=0,
    name="Pro",
    currency="USD",
    fee_nanos=20 * 10**9,
    allowances=(Allowance("tokens", Decimal("1000000.000000001")),),
    credits=(IncludedCredits("sparks", 500 * 10**9, "P90D"),),
    rates=(
        Rate("tokens", PerUnit(Decimal("0.000000000001")), "sparks", {"model": "large"}),
        Rate(
            "tokens",
            Graduated(
                (
                    Tier(Decimal("10.5"), Decimal("0.1"), Decimal(5)),
                    Tier(None, Decimal("0.123456789012")),
                )
            ),
            "USD",
        ),
    ),
    features={"seats": 5, "sso": True},
    default=True,
)


@pytest.fixture
def client(aws: Aws) -> Any:
    return aws.client("dynamodb", pool=20)


@pytest.fixture
def store(client: Any, tables: Tables) -> Iterator[DynamoCatalogueStore]:
    """A store over an empty billing table."""
    yield DynamoCatalogueStore(client, tables.billing_table)
    for item in client.scan(TableName=tables.billing_table)["Items"]:
        key = {"pk": item["pk"], "sk": item["sk"]}
        client.delete_item(TableName=tables.billing_table, Key=key)


@pytest.fixture
def service(store: DynamoCatalogueStore) -> CatalogueService:
    return CatalogueService(store)


def publish_all(service: CatalogueService) -> None:
    service.put_meter(METER, "key-1", NOW)
    service.put_unit(UNIT, "key-1", NOW)
    service.put_plan(PLAN, "key-1", NOW)


def test_an_empty_catalogue_has_version_0(store: DynamoCatalogueStore) -> None:
    assert store.head_version() == 0
    assert store.load().version == 0


def test_everything_comes_back_exactly(
    store: DynamoCatalogueStore, service: CatalogueService
) -> None:
    publish_all(service)
    catalogue = store.load()
    assert catalogue.version == store.head_version() == 3
    assert catalogue.meters == {"tokens": replace(METER, since=1)}
    assert catalogue.units == {"sparks": UNIT}
    assert catalogue.plans == {"pro": (replace(PLAN, version=1),)}
    assert isinstance(catalogue.plans["pro"][0].features["sso"], bool)


def test_publishing_again_changes_nothing(
    store: DynamoCatalogueStore, service: CatalogueService
) -> None:
    publish_all(service)
    publish_all(service)
    assert store.head_version() == 3


def test_a_plan_gets_its_next_version_and_keeps_the_old_one(
    store: DynamoCatalogueStore, service: CatalogueService
) -> None:
    publish_all(service)
    assert service.put_plan(replace(PLAN, name="Pro+"), "key-1", NOW).version == 2
    assert [plan.name for plan in store.load().plans["pro"]] == ["Pro", "Pro+"]


def test_archiving_names_the_version_from_which_the_meter_counts_no_more(
    store: DynamoCatalogueStore, service: CatalogueService
) -> None:
    publish_all(service)
    service.put_plan(replace(PLAN, rates=(), allowances=()), "key-1", NOW)
    assert service.archive_meter("tokens", "key-1", NOW).archived_since == 5
    assert service.archive_meter("tokens", "key-1", NOW).archived_since == 5
    assert store.head_version() == 5


def test_a_lost_race_writes_nothing(store: DynamoCatalogueStore, service: CatalogueService) -> None:
    publish_all(service)
    audit = PutAudit(NOW, "key-1", "meter.create", "other")
    with pytest.raises(VersionConflictError):
        store.publish(2, Publication("meter.create", None, replace(METER, key="other")), audit)
    assert "other" not in store.load().meters


def test_concurrent_publishers_each_get_a_version_of_their_own(
    store: DynamoCatalogueStore, service: CatalogueService
) -> None:
    meters = [replace(METER, key=f"meter-{number}") for number in range(6)]
    with ThreadPoolExecutor(6) as pool:
        stored = list(pool.map(lambda meter: service.put_meter(meter, "key-1", NOW), meters))
    assert sorted(meter.since for meter in stored) == [1, 2, 3, 4, 5, 6]
    assert store.head_version() == 6


def test_a_half_applied_publication_is_not_taken_for_the_newest_version(
    store: DynamoCatalogueStore,
    service: CatalogueService,
    client: Any,
    tables: Tables,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    publish_all(service)
    head = to_item({"version": 4, "changed": "METER#tokens"})
    client.put_item(TableName=tables.billing_table, Item={**HEAD, **head})
    with pytest.raises(UnavailableError):
        store.load()


def test_every_publication_is_audited(
    service: CatalogueService, client: Any, tables: Tables
) -> None:
    publish_all(service)
    service.put_plan(replace(PLAN, name="Pro+"), "key-2", NOW)
    entries = [
        from_item(item)
        for item in client.query(
            TableName=tables.billing_table,
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": "AUDIT"}},
        )["Items"]
    ]
    assert len(entries) == 4
    [entry] = [e for e in entries if e["actor"] == "key-2"]
    assert (entry["action"], entry["subject"]) == ("plan.publish", "pro")
    assert (entry["before"]["name"], entry["after"]["name"]) == ("Pro", "Pro+")
    assert entry["sk"].startswith("2026-03-01T12:00:00.000000Z#")


def test_a_cached_catalogue_reads_again_only_for_a_newer_version(
    store: DynamoCatalogueStore, service: CatalogueService
) -> None:
    seconds = 0.0
    cached = CachedCatalogue(store, lambda: seconds)
    assert cached.fresh().version == 0
    publish_all(service)
    assert cached.fresh().version == 0
    seconds = 1.0
    assert cached.fresh().version == 3
    service.put_meter(replace(METER, key="other"), "key-1", NOW)
    assert cached.at_least(3).version == 3
    assert cached.at_least(4).version == 4
    with pytest.raises(UnavailableError):
        cached.at_least(5)


def test_the_demo_catalogue_is_published_over_http_once(
    store: DynamoCatalogueStore, aws: Aws, tables: Tables
) -> None:
    api = Api(aws, tables)
    file = CatalogueFile(REPOSITORY / "local" / "demo_catalogue.yaml")
    for _ in range(2):
        for entry in file.entries:
            api.put(f"{entry.kind.path}/{entry.key}", entry.body)
    assert store.head_version() == len(file.entries)
    assert api.get("/v1/plans/free")["version"] == 1
    assert store.load().default_plan().key == "free"
