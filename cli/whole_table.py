"""What `meterline archive` does with the whole table of raw events and the archive's bucket."""

import base64
import json
import tempfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from cli.archives import Days, archived_events, archived_files
from cli.deployment import Deployment
from shared.adapters.dynamodb.all_events import DynamoAllEvents
from shared.adapters.dynamodb.attributes import Item
from shared.adapters.dynamodb.usage_events import read_event
from shared.adapters.s3_archive import S3ArchiveFiles
from shared.domain.errors import UnreadableError
from shared.domain.events import UsageEvent, utc_text
from shared.services.archive import (
    ArchiveFiles,
    ArchiveLine,
    event_line,
    quarantine_line,
    write,
)
from shared.services.archive_check import Tally, once, tally_by_day

# Some 25 MB before compression, and 2 MB after.
LINES_PER_FILE = 50_000


def table_tallies(place: Deployment, days: Days, unreadable: list[str]) -> dict[str, Tally]:
    """The table's events by day; names of items that are none go to `unreadable`."""
    return tally_by_day(_events(_items(place, days), unreadable))


def archive_tallies(days: Days) -> dict[str, Tally]:
    """The archive's events by day, one day's identities at a time in memory."""
    by_day: dict[str, list[Path]] = {}
    for file in archived_files(None, days):
        by_day.setdefault(file.parent.name, []).append(file)
    tallies: dict[str, Tally] = {}
    for files in by_day.values():
        tallies |= tally_by_day(once(line for file in files for line in archived_events(file)))
    return tallies


def archive_table(place: Deployment, days: Days, unreadable: list[str]) -> tuple[int, int]:
    """Archives the table's items of the days; how many, and in how many files.

    Raises: UnavailableError.
    """
    files = S3ArchiveFiles(place.client("s3"), place.bucket)
    with tempfile.TemporaryDirectory() as scratch:
        spool = Path(scratch)
        count = _spool(spool, (_line(item, unreadable) for item in _items(place, days)))
        return count, sum(_write(files, spool, each) for each in sorted(spool.rglob("dt=*")))


def _items(place: Deployment, days: Days) -> Iterator[Item]:
    """The table's items of the days; a day's text comes before every time of that day."""
    table = DynamoAllEvents(place.client("dynamodb"), place.events_table)
    return table.received(days.start or "0", days.end or "9999")


def _events(items: Iterable[Item], unreadable: list[str]) -> Iterator[UsageEvent]:
    for item in items:
        try:
            yield read_event(item)
        except UnreadableError:
            unreadable.append(f"{item['pk']['S']} {item['sk']['S']}")


def _line(item: Item, unreadable: list[str]) -> ArchiveLine:
    """The line of an item, as the stream's reader would have written it."""
    try:
        return event_line(read_event(item))
    except (UnreadableError, ValueError) as error:
        unreadable.append(f"{item['pk']['S']} {item['sk']['S']}")
        image = json.dumps(item, separators=(",", ":"), sort_keys=True, default=_base64)
        return quarantine_line(utc_text(datetime.now(UTC)), type(error).__name__, image)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _spool(folder: Path, lines: Iterable[ArchiveLine]) -> int:
    """Sorts the lines by partition, on disk: there may be more than memory holds."""
    count = 0
    lines = iter(lines)
    while some := list(islice(lines, LINES_PER_FILE)):
        by_partition: dict[str, list[bytes]] = {}
        for line in some:
            by_partition.setdefault(line.partition, []).append(line.text)
        for name, texts in by_partition.items():
            (folder / name).parent.mkdir(exist_ok=True)
            with (folder / name).open("ab") as file:
                file.writelines(text + b"\n" for text in texts)
        count += len(some)
    return count


def _write(files: ArchiveFiles, folder: Path, spooled: Path) -> int:
    """Archives one partition in files of bounded size; how many those were."""
    partition = spooled.relative_to(folder).as_posix()
    written = 0
    with spooled.open("rb") as lines:
        while some := [line.rstrip(b"\n") for line in islice(lines, LINES_PER_FILE)]:
            written += write(files, (ArchiveLine(partition, text) for text in some))
    return written
