"""Migrations: moving a plan's subscriptions to its newest version."""

import hashlib

from functions._http import Request, Router
from functions._runtime import Runtime
from functions._validation import idempotency_key
from functions.routes._common import open_cursor, seal_cursor
from shared.domain.events import canonical_json
from shared.services.idempotency import MoneyWrite
from shared.services.migrating import Migrating, Move
from shared.services.segments import named_segment
from shared.wire.migrations import MigrationBody, MigrationQuery, MigrationView, MoveView

router = Router()


@router.route(
    "POST",
    "/v1/plans/{plan}/migrations",
    scope="admin",
    summary="Move a page of a plan's subscriptions to its newest version, or preview that",
    query=MigrationQuery,
    body=MigrationBody,
    answer=MigrationView,
    money=True,
)
def migrate_plan(
    request: Request, runtime: Runtime, query: MigrationQuery, body: MigrationBody
) -> MigrationView:
    segment = named_segment(runtime.segments, body.segment) if body.segment else None
    migration = body.to_migration(request.parameters["plan"], segment)
    write = None if body.preview else _write(request, body)
    migrating = Migrating(runtime.books, migration, _json, write)
    page = migrating.page(query.limit, open_cursor(runtime, request, query.cursor))
    following = seal_cursor(runtime, request, page.cursor)
    return MigrationView.of(page, following, preview=body.preview)


def _write(request: Request, body: MigrationBody) -> MoneyWrite:
    """One key for all pages: each customer has its own use of it."""
    asked = canonical_json([request.method, request.path, body.model_dump(mode="json")])
    return MoneyWrite(
        customer="",
        actor=request.principal,
        key="migration " + idempotency_key(request.headers),
        request_hash=hashlib.sha256(asked.encode()).hexdigest(),
    )


def _json(move: Move) -> str:
    return MoveView.of(move).model_dump_json()
