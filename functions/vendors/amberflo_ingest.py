"""Amberflo's ingest."""

from functions._http import JSON, Answer, Dialect, Request, Router, problem
from functions._runtime import Runtime
from functions._validation import distinct
from functions.vendors._reading import read_json_or_lines
from functions.vendors._taking import store_foreign
from shared.wire.vendors.amberflo_events import FIELDS, MeterRecord, RecordOrRecords, submissions

NDJSON = "application/x-ndjson"
# Its clients tell refusals by their status, and show whatever text comes with it.
DIALECT = Dialect(read_query=distinct, read_body=read_json_or_lines, refuse=problem)

router = Router()


@router.route(
    "POST",
    "/ingest",
    scope="ingest",
    summary="Amberflo: send meter records",
    body=RecordOrRecords,
    content_types=(JSON, NDJSON),
    dialect=DIALECT,
)
def ingest_meter_records(
    request: Request, runtime: Runtime, body: MeterRecord | list[MeterRecord]
) -> Answer:
    records = submissions(body)
    store_foreign(runtime, records, FIELDS)
    return Answer(f"{len(records)} records were ingested", content_type="text/plain")
