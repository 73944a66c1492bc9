"""Amberflo's ingest."""

from dataclasses import replace

from functions._http import JSON, Answer, Request, Router
from functions._runtime import Runtime
from functions.vendors._amberflo import DIALECT
from functions.vendors._reading import read_json_or_lines
from functions.vendors._taking import store_foreign
from shared.wire.vendors.amberflo_events import FIELDS, MeterRecord, RecordOrRecords, submissions

NDJSON = "application/x-ndjson"
LINES = replace(DIALECT, read_body=read_json_or_lines)

router = Router()


@router.route(
    "POST",
    "/ingest",
    scope="ingest",
    summary="Amberflo: send meter records",
    body=RecordOrRecords,
    content_types=(JSON, NDJSON),
    dialect=LINES,
)
def ingest_meter_records(
    request: Request, runtime: Runtime, body: MeterRecord | list[MeterRecord]
) -> Answer:
    records = submissions(body)
    store_foreign(runtime, records, FIELDS)
    return Answer(f"{len(records)} records were ingested", content_type="text/plain")
