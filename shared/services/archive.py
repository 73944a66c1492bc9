"""The archive: raw events as lines of JSON, in compressed files named by what they hold.

A file's name is the digest of its lines, so whatever is written twice is written over itself. The
stream may deliver an event in two batches that are cut differently: then it stands in two files,
and whoever reads takes each identity (customer, source, id) once, at its most corrected.
"""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from shared.domain.events import (
    Correction,
    CorrectionRole,
    UsageEvent,
    canonical_json,
    dimension_text,
    utc_text,
    utc_time,
)

EVENTS = "events"
QUARANTINE = "quarantine"
FILE_SUFFIX = ".ndjson.gz"
# What is raised where a gzip file is cut short or changed.
DAMAGE = (EOFError, gzip.BadGzipFile, zlib.error)
# Higher levels take three times as long for a few percent.
COMPRESSION_LEVEL = 6


class ArchiveFiles(Protocol):
    """Where the files are kept."""

    def put(self, key: str, content: bytes) -> None:
        """Stores a file; storing it again changes nothing.

        Raises: UnavailableError if it is not known to be stored.
        """


@dataclass(frozen=True, slots=True)
class ArchiveLine:
    """One line, without its end, and the partition that it belongs to."""

    partition: str
    text: bytes


def event_line(event: UsageEvent) -> ArchiveLine:
    """The event as it is archived, under the UTC day on which it was received.

    That day is a part of the event that never changes: a redelivery lands where the first copy
    is, and a day that is over gets no more events, however late they are by their own time.
    `data` is the JSON text as stored, `properties` the same as text, where no reader of JSON can
    take a digit from a number; null, like a missing one, has no property. `corrections` is 0 for
    the event as it was sent; correction n of it is line 2n - 1, which takes back what counted, and
    line 2n, which counts instead. They are archived under the day of the event itself, and
    `recorded_at` tells when they were made; of an event as sent, it is when it was received.

    Raises: ValueError for text that UTF-8 cannot hold.
    """
    received_at = utc_text(received(event))
    line = {
        "customer": event.customer,
        "source": event.source,
        "id": event.id,
        "type": event.type,
        "occurred_at": utc_text(event.occurred_at),
        "received_at": received_at,
        "recorded_at": utc_text(event.received_at),
        "catalogue_version": event.catalogue_version,
        "corrections": _corrections_before(event),
        "data": canonical_json(event.data),
        "properties": {
            name: dimension_text(value) for name, value in event.data.items() if value is not None
        },
        "extensions": event.extensions,
    }
    return ArchiveLine(partition(EVENTS, received_at), _encode(line))


def received(event: UsageEvent) -> datetime:
    """When the event was received; of an entry that corrects one, when that one was."""
    return event.correction.sent_at if event.correction else event.received_at


def _corrections_before(event: UsageEvent) -> int:
    """The `corrections` of the line of an event, or of an entry that corrects one."""
    if event.correction is None:
        return 0
    return 2 * event.correction.number - (event.correction.role == "reversal")


def read_line(text: bytes) -> UsageEvent:
    """The event of an archived line, or the entry that corrects one, by whom is not told.

    Raises: LookupError, TypeError, ValueError for a line that is none.
    """
    line = json.loads(text)
    sent_at = utc_time(line["received_at"])
    # Lines of older versions do not tell: of events as sent it is the same.
    recorded_at = utc_time(line.get("recorded_at", line["received_at"]))
    data = json.loads(line["data"], parse_int=Decimal, parse_float=Decimal)
    occurred_at = utc_time(line["occurred_at"])
    if not isinstance(data, dict) or None in (occurred_at.tzinfo, recorded_at.tzinfo):
        raise TypeError("data is an object, and every time has a zone")
    number, is_replacement = divmod(line["corrections"] + 1, 2)
    role: CorrectionRole = "replacement" if is_replacement else "reversal"
    return UsageEvent(
        customer=line["customer"],
        source=line["source"],
        id=line["id"],
        type=line["type"],
        occurred_at=occurred_at,
        received_at=recorded_at,
        catalogue_version=line["catalogue_version"],
        data=data,
        extensions=line["extensions"],
        correction=Correction(number, role, "", recorded_at, sent_at) if number else None,
    )


def quarantine_line(recorded_at: str, reason: str, image: str) -> ArchiveLine:
    """What cannot be read as an event, whole: the item's `image` as the stream delivered it.

    `recorded_at` is RFC 3339 in UTC, when the stream took it.
    """
    line = {"recorded_at": recorded_at, "reason": reason, "image": image}
    return ArchiveLine(partition(QUARANTINE, recorded_at), _encode(line))


def partition(kind: str, instant: str) -> str:
    """The folder of a UTC day, named as Athena and DuckDB name partitions."""
    return f"{kind}/dt={instant[:10]}"


def write(files: ArchiveFiles, lines: Iterable[ArchiveLine]) -> int:
    """Writes one file for each partition among the lines; how many that were.

    Raises: UnavailableError. Some of the files may be there then; write them all again.
    """
    by_partition: dict[str, list[bytes]] = {}
    for line in lines:
        by_partition.setdefault(line.partition, []).append(line.text)
    for folder, texts in by_partition.items():
        content = b"".join(text + b"\n" for text in texts)
        # Without a time in its header, equal lines make an equal file.
        files.put(file_key(folder, content), gzip.compress(content, COMPRESSION_LEVEL, mtime=0))
    return len(by_partition)


def lines_of(file: bytes) -> Iterator[bytes]:
    """The lines of a file, each without its end.

    Raises: OSError, EOFError, zlib.error for a file that is damaged.
    """
    return iter(gzip.decompress(file).splitlines())


def file_key(folder: str, content: bytes) -> str:
    """The key of the file that holds this, before compression."""
    return f"{folder}/{hashlib.sha256(content).hexdigest()[:32]}{FILE_SUFFIX}"


def _encode(line: object) -> bytes:
    return json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode()
