"""The composition root: every adapter and service, built once from the settings.

Imports stand inside the properties: a function pays at its cold start only for what it uses.
"""

import time
from datetime import timedelta
from functools import cache, cached_property
from typing import TYPE_CHECKING

from functions._credentials import Credentials
from functions._settings import Settings

if TYPE_CHECKING:
    from shared.adapters.billing_queue import BillingQueue
    from shared.adapters.dynamodb.usage_events import DynamoEventStore
    from shared.adapters.s3_archive import S3ArchiveFiles
    from shared.services.aggregate import Aggregator
    from shared.services.analytics import Analytics
    from shared.services.backfill import Backfills
    from shared.services.backfilled_usage import BackfilledUsage
    from shared.services.billing_run import BillingRun
    from shared.services.catalogue import CatalogueService
    from shared.services.correcting import Correcting, CorrectionStore
    from shared.services.event_list import EventIndex, EventList
    from shared.services.event_types import EventTypes
    from shared.services.headcount import Headcount
    from shared.services.ingest import Ingest
    from shared.services.line_events import LineProofs
    from shared.services.reconcile import Reconciler
    from shared.services.reconciliation import RawEvents, ReconciliationStore
    from shared.services.recounting import Recounting
    from shared.services.redrive import Redrive
    from shared.services.replay import Replays
    from shared.services.revaluing import Revaluing
    from shared.services.segments import SegmentStore
    from shared.services.spread import Spread
    from shared.services.standing import Books
    from shared.services.store import BarrierStore, BillingStore, CatalogueSource
    from shared.services.test_clocks import TestClocks
    from shared.services.usage_query import UsageQueries


class Runtime(Credentials):
    """What a container keeps between invocations."""

    @property
    def grace(self) -> timedelta:
        return timedelta(seconds=self.settings.grace_seconds)

    @cached_property
    def catalogue(self) -> "CatalogueSource":
        from shared.adapters.dynamodb.catalogue import DynamoCatalogueStore
        from shared.services.catalogue import CachedCatalogue

        return CachedCatalogue(DynamoCatalogueStore(self.dynamodb, self.settings.billing_table))

    @cached_property
    def catalogue_service(self) -> "CatalogueService":
        from shared.adapters.dynamodb.catalogue import DynamoCatalogueStore
        from shared.services.catalogue import CatalogueService

        return CatalogueService(DynamoCatalogueStore(self.dynamodb, self.settings.billing_table))

    @cached_property
    def store(self) -> "BillingStore":
        from shared.adapters.dynamodb.billing_store import DynamoBillingStore

        return DynamoBillingStore(self.dynamodb, self.settings.billing_table)

    @cached_property
    def segments(self) -> "SegmentStore":
        from shared.adapters.dynamodb.segments import DynamoSegmentStore

        return DynamoSegmentStore(self.dynamodb, self.settings.billing_table)

    @cached_property
    def books(self) -> "Books":
        from shared.services.standing import Books

        return Books(self.store, self.catalogue, self.clock, self.grace)

    @cached_property
    def usage_queries(self) -> "UsageQueries":
        from shared.adapters.dynamodb.usage_days import DynamoUsageDays
        from shared.services.usage_days import DayReads
        from shared.services.usage_query import UsageQueries

        kept = DynamoUsageDays(self.dynamodb, self.settings.billing_table)
        days = DayReads(kept, self.clock, self.spread)
        return UsageQueries(self.books, self.segments, self.spread, days)

    @cached_property
    def replays(self) -> "Replays":
        from shared.services.replay import Replays

        return Replays(self.books, self.segments, self.spread, self.analytics.usage)

    @cached_property
    def analytics(self) -> "Analytics":
        from shared.services.analytics import Analytics
        from shared.services.past_usage import PastUsage

        usage = PastUsage(self.store, self.raw_events)
        return Analytics(self.books, self.segments, self.spread, usage)

    @cached_property
    def headcount(self) -> "Headcount":
        from shared.services.headcount import Headcount

        return Headcount(self.books, self.segments, self.spread)

    @cached_property
    def barriers(self) -> "BarrierStore":
        from shared.adapters.dynamodb.barriers import DynamoBarrierStore

        tables = (self.settings.events_table, self.settings.billing_table)
        return DynamoBarrierStore(self.dynamodb, *tables, self.clock)

    @cached_property
    def aggregator(self) -> "Aggregator":
        from shared.services.aggregate import Aggregator

        return Aggregator(
            store=self.store,
            barriers=self.barriers,
            catalogue=self.catalogue,
            clock=self.clock,
            grace=self.grace,
            revalue=self.revaluing.revalue,
            spread=self.spread,
        )

    @cached_property
    def recounting(self) -> "Recounting":
        from shared.services.phase_check import PhaseCheck
        from shared.services.recounting import Recounting

        phases = PhaseCheck(self.store, self.raw_events, self.event_index)
        return Recounting(self.store, self.raw_events, self.catalogue, phases)

    @cached_property
    def revaluing(self) -> "Revaluing":
        from shared.services.revaluing import Revaluing

        return Revaluing(self.store, self.recounting, self.clock)

    @cached_property
    def spread(self) -> "Spread":
        from shared.adapters.threads import Threads

        return Threads()

    @cached_property
    def billing_run(self) -> "BillingRun":
        from shared.services.billing_run import BillingRun

        at_hand = self.store, self.barriers, self.catalogue, self.grace
        return BillingRun(*at_hand, time.sleep, self.revaluing.revalue)

    @cached_property
    def test_clocks(self) -> "TestClocks":
        from shared.adapters.dynamodb.test_clocks import DynamoClockStore
        from shared.services.test_clocks import TestClocks

        tables = (self.settings.events_table, self.settings.billing_table)
        clocks = DynamoClockStore(self.dynamodb, *tables, self.catalogue)
        return TestClocks(self.store, clocks, self.barriers, self.billing_run, time.sleep)

    @cached_property
    def billing_orders(self) -> "BillingQueue":
        from shared.adapters.billing_queue import BillingQueue

        return BillingQueue(self._client("sqs"), self.settings.billing_queue_url)

    @cached_property
    def reconciliation_orders(self) -> "BillingQueue":
        from shared.adapters.billing_queue import BillingQueue

        return BillingQueue(self._client("sqs"), self.settings.reconciliation_queue_url)

    @cached_property
    def reconciliations(self) -> "ReconciliationStore":
        from shared.adapters.dynamodb.reconciliation import DynamoReconciliationStore

        return DynamoReconciliationStore(self.dynamodb, self.settings.billing_table)

    @cached_property
    def reconciler(self) -> "Reconciler":
        from shared.services.bookkeeping import Bookkeeping
        from shared.services.reconcile import Reconciler
        from shared.services.repairing import Repairing

        return Reconciler(
            store=self.store,
            notes=self.reconciliations,
            raw=self.raw_events,
            barriers=self.barriers,
            catalogue=self.catalogue,
            clock=self.clock,
            recounting=self.recounting,
            repairing=Repairing(self.store, self.grace),
            bookkeeping=Bookkeeping(self.store, self.catalogue),
            settle=timedelta(seconds=self.settings.settle_seconds),
            sleep=time.sleep,
            revalue=self.revaluing.revalue,
            check_backfills=self.backfilled_usage.check,
        )

    @cached_property
    def raw_events(self) -> "RawEvents":
        from shared.adapters.dynamodb.reconciliation import DynamoRawEvents

        return DynamoRawEvents(self.dynamodb, self.settings.events_table)

    @cached_property
    def backfilled_usage(self) -> "BackfilledUsage":
        from shared.adapters.dynamodb.backfills import DynamoBackfillStore
        from shared.services.backfilled_usage import BackfilledUsage

        kept = DynamoBackfillStore(self.dynamodb, self.settings.billing_table, self.clock)
        return BackfilledUsage(self.store, kept, self.raw_events, self.catalogue, self.spread)

    @cached_property
    def backfills(self) -> "Backfills":
        from shared.adapters.backfill_queue import BackfillQueue
        from shared.services.backfill import Backfills

        queue = BackfillQueue(self._client("sqs"), self.settings.backfill_queue_url)
        return Backfills(self.store, self.backfilled_usage, queue, self.catalogue, self.clock)

    @cached_property
    def archive_files(self) -> "S3ArchiveFiles":
        from shared.adapters.s3_archive import S3ArchiveFiles

        return S3ArchiveFiles(self._client("s3"), self.settings.archive_bucket)

    @cached_property
    def event_index(self) -> "EventIndex":
        from shared.adapters.dynamodb.events_by_time import DynamoEventIndex

        return DynamoEventIndex(self.dynamodb, self.settings.events_table)

    @cached_property
    def correction_store(self) -> "CorrectionStore":
        from shared.adapters.dynamodb.corrections import DynamoCorrectionStore

        tables = (self.settings.events_table, self.settings.billing_table)
        return DynamoCorrectionStore(self.dynamodb, *tables)

    @cached_property
    def correcting(self) -> "Correcting":
        from shared.services.correcting import Correcting

        return Correcting(
            store=self.store,
            corrections=self.correction_store,
            catalogue=self.catalogue,
            clock=self.clock,
            is_backfilled=self.backfilled_usage.is_backfilled,
            count_again=self.backfilled_usage.count_again,
        )

    @cached_property
    def redrive(self) -> "Redrive":
        from shared.services.redrive import Redrive

        at_hand = (self.store, self.event_index, self.catalogue, self.clock, self.grace)
        return Redrive(*at_hand, revalue=self.revaluing.revalue)

    @cached_property
    def line_proofs(self) -> "LineProofs":
        from shared.services.line_events import LineProofs

        return LineProofs(self.store, self.barriers, self.event_index, self.clock)

    @cached_property
    def event_list(self) -> "EventList":
        from shared.adapters.dynamodb.ingest_context import DynamoIngestContext
        from shared.services.event_list import EventList

        context = DynamoIngestContext(self.dynamodb, self.settings.billing_table)
        return EventList(
            index=self.event_index,
            context=context,
            store=self.store,
            catalogue=self.catalogue,
            clock=self.clock,
            corrections=self.correction_store,
        )

    @cached_property
    def event_types(self) -> "EventTypes":
        from shared.adapters.dynamodb.event_types import DynamoEventTypeStore
        from shared.services.event_types import EventTypes

        return EventTypes(DynamoEventTypeStore(self.dynamodb, self.settings.billing_table))

    @cached_property
    def event_store(self) -> "DynamoEventStore":
        from shared.adapters.dynamodb.usage_events import DynamoEventStore

        return DynamoEventStore(self.dynamodb, self.settings.events_table)

    @cached_property
    def ingest(self) -> "Ingest":
        from shared.adapters.dynamodb.ingest_context import DynamoIngestContext
        from shared.services.ingest import Ingest

        context = DynamoIngestContext(self.dynamodb, self.settings.billing_table)
        return Ingest(self.event_store, context, self.catalogue, self.clock)


@cache
def runtime() -> Runtime:
    """The container's one runtime."""
    return Runtime(Settings.from_environment())
