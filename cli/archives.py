"""The archive's files on this machine: a folder of them, or a bucket's, downloaded once."""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cli.client import ClientError, UsageError
from cli.deployment import aws_client, deployment
from shared.domain.events import UsageEvent
from shared.services.archive import DAMAGE, EVENTS, FILE_SUFFIX, event_line, lines_of, read_line

PARTITION = re.compile(rf"(?:^|/){EVENTS}/dt=(\d{{4}}-\d\d-\d\d)/[^/]+{re.escape(FILE_SUFFIX)}$")


@dataclass(frozen=True)
class Days:
    """UTC days of receipt, from the first until before the last; either may be open."""

    start: str | None = None
    end: str | None = None

    def hold(self, key: str) -> bool:
        """Whether a file of that name is an archive's, and of one of the days."""
        found = PARTITION.search(key)
        if found is None:
            return False
        return (self.start or "") <= found[1] < (self.end or "9999-99-99")


@dataclass(frozen=True)
class Folder:
    """An archive as a folder of this machine; see ArchiveFiles."""

    path: Path

    def put(self, key: str, content: bytes) -> None:
        file = self.path / key
        file.parent.mkdir(parents=True, exist_ok=True)
        # Renamed when complete: an interrupted write leaves no half of a file under its name.
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        partial.write_bytes(content)
        partial.replace(file)

    def files(self, days: Days) -> list[Path]:
        """The files of the days."""
        if not self.path.is_dir():
            raise UsageError(f"{self.path} is no folder")
        found = self.path.rglob(f"*{FILE_SUFFIX}")
        return sorted(file for file in found if days.hold(file.as_posix()))


def archived_files(where: str | None, days: Days) -> list[Path]:
    """The archive's files of the days: of a folder, of `s3://bucket/prefix`, or of the deployment.

    Raises: UsageError if there is no such place, ClientError if a file cannot be downloaded.
    """
    if where is None:
        place = deployment()
        return _download(place.client("s3"), place.bucket, "", days)
    if not where.startswith("s3://"):
        return Folder(Path(where)).files(days)
    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    return _download(aws_client("s3"), bucket, prefix, days)


def archived_events(file: Path) -> Iterator[UsageEvent]:
    """The events of a file, and the entries that correct events.

    Raises: ClientError at the first line that is none.
    """
    try:
        for line in lines_of(file.read_bytes()):
            yield read_line(line)
    except (*DAMAGE, LookupError, TypeError, ValueError) as error:
        raise ClientError(f"{file} is no file of the archive: {error!r}") from error


def archive_at(place: Path) -> list[Path]:
    """The archive's files at a place of this machine; none if it is a file of something else.

    Raises: UsageError for a folder without any.
    """
    if place.is_dir():
        if files := Folder(place.absolute()).files(Days()):
            return files
        raise UsageError(f"{place} holds no file of an archive ({EVENTS}/dt=DAY/*{FILE_SUFFIX})")
    return [place] if PARTITION.search(place.absolute().as_posix()) else []


def events_once(files: Iterable[Path], customer: str) -> Iterator[UsageEvent]:
    """The customer's events and what corrects them, each once. Lines that disagree are both given.

    Raises: ClientError as `archived_events` does.
    """
    seen: set[bytes] = set()
    for event in (event for file in files for event in archived_events(file)):
        if event.customer != customer:
            continue
        digest = hashlib.sha256(event_line(event).text).digest()
        if digest not in seen:
            seen.add(digest)
            yield event


def cache_folder(bucket: str) -> Path:
    """Where a bucket's files are kept."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "meterline" / quote(bucket, safe="")


def _download(client: Any, bucket: str, prefix: str, days: Days) -> list[Path]:
    """A file's name tells its content, so what is here already is the same."""
    from botocore import exceptions  # noqa: PLC0415  # Only who downloads needs AWS's SDK.

    folder = Folder(cache_folder(bucket))
    try:
        keys = list(_keys(client, bucket, prefix, days))
        for key in keys:
            if not (folder.path / key).exists():
                folder.put(key, client.get_object(Bucket=bucket, Key=key)["Body"].read())
    except (exceptions.ClientError, exceptions.BotoCoreError) as error:
        raise ClientError(f"s3://{bucket}/{prefix}: {error}") from error
    return [folder.path / key for key in keys]


def _keys(client: Any, bucket: str, prefix: str, days: Days) -> Iterator[str]:
    after = f"{prefix}{EVENTS}/dt={days.start or ''}"
    pages = client.get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=f"{prefix}{EVENTS}/", StartAfter=after
    )
    for page in pages:
        yield from (each["Key"] for each in page.get("Contents", []) if days.hold(each["Key"]))
