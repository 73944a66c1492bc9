"""Events on disk until they are settled, so that a crash loses none.

A spool is a folder of segments: files that are only appended to, a line an event, and deleted once
each of their events is settled. A segment belongs to the process that holds its lock; the segments
of a process that ended are adopted by the next one that starts. An adopted segment is sent whole:
what had been settled before is a duplicate to the server.
"""

import fcntl
import os
import zlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from meterline_client._event import uuid7
from meterline_client.errors import SpoolError

SUFFIX = ".events"
SEGMENT_BYTES = 1 << 20
# Each segment keeps a file open, for its lock: a large spool has larger segments, not more.
MAX_SEGMENTS = 64


@dataclass(frozen=True, slots=True)
class Spool:
    """Where and how events are kept on disk.

    `fsync="never"` survives the end of the process, however sudden; `"always"` also that of the
    machine, at the price of one disk flush an event. Beyond `max_bytes` the buffer is full.
    """

    folder: str | os.PathLike[str]
    fsync: Literal["never", "always"] = "never"
    max_bytes: int = 1 << 30


class Segment:
    """One file. `live` is the number of its events that are not settled."""

    __slots__ = ("file", "live", "path", "sealed", "size")

    def __init__(self, path: Path, file: int, size: int = 0, live: int = 0) -> None:
        self.path = path
        self.file = file
        self.size = size
        self.live = live
        self.sealed = False


class SpoolFolder:
    """This process's segments in a folder: the one written to, and the backlog to be read."""

    def __init__(self, spool: Spool) -> None:
        """Adopts the segments that ended processes left. Raises: SpoolError."""
        self._spool = spool
        self._folder = Path(spool.folder)
        self._active: Segment | None = None
        self._backlog: deque[Segment] = deque()
        self._held: set[Segment] = set()
        self._size = 0  # bytes of all segments of this process
        self._segment_bytes = max(SEGMENT_BYTES, spool.max_bytes // MAX_SEGMENTS)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._backlog.extend(self._adopt())
        except OSError as error:
            raise SpoolError(f"{self._folder} cannot be used: {error.strerror}") from error

    def has_room(self, payload: bytes) -> bool:
        """Whether another event stays within the bound."""
        return self._size + len(payload) + 10 <= self._spool.max_bytes

    @property
    def backlog_events(self) -> int:
        """Events that wait on disk only, but for those of the segment written to."""
        return sum(segment.live for segment in self._backlog)

    def append(self, payload: bytes) -> Segment:
        """Writes one event; returns its segment when it is as durable as was chosen.

        Raises: SpoolError, with nothing written.
        """
        try:
            segment = self._active or self._create()
            self._write(segment, _line(payload))
        except OSError as error:
            raise SpoolError(f"{self._folder} cannot keep an event: {error.strerror}") from error
        segment.live += 1
        if segment.size >= self._segment_bytes:
            self.seal()
        return segment

    def seal(self) -> Segment | None:
        """Closes the segment that is written to; the next event starts another."""
        segment, self._active = self._active, None
        if segment:
            segment.sealed = True
            self._held.add(segment)
        return segment

    def queue(self, segment: Segment) -> None:
        """Lets the sealed segment wait for its turn to be read."""
        self._backlog.append(segment)

    def read_next(self) -> tuple[Segment, list[bytes], int] | None:
        """The oldest waiting segment, its events, and how many lines are torn; None without one."""
        if not self._backlog:
            return None
        segment = self._backlog.popleft()
        payloads, torn = [], 0
        *lines, tail = _content(segment.file).split(b"\n")
        for line in lines:
            payload = _payload(line)
            if payload is None:
                torn += 1
            else:
                payloads.append(payload)
        torn += bool(tail)
        segment.live = len(payloads)
        self._delete_if_done(segment)
        return segment, payloads, torn

    def settle(self, segment: Segment) -> None:
        """One of its events needs to be kept no longer."""
        segment.live -= 1
        if segment.live == 0 and segment is self._active:
            self.seal()
        self._delete_if_done(segment)

    def close(self) -> None:
        """Lets go of everything; what is not settled is adopted by the next process."""
        self.seal()
        self.forget()

    def forget(self) -> None:
        """Closes the files alone: after a fork they are the parent's, and so are their locks."""
        for segment in {*self._held, *([self._active] if self._active else [])}:
            os.close(segment.file)
        self._held.clear()
        self._backlog.clear()
        self._active = None
        self._size = 0

    def _adopt(self) -> Iterator[Segment]:
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            try:
                file = os.open(path, os.O_RDWR | os.O_APPEND)
            except FileNotFoundError:
                continue
            if not _lock(file) or os.fstat(file).st_nlink == 0:
                os.close(file)
                continue
            content = _content(file)
            segment = Segment(path, file, len(content), content.count(b"\n"))
            segment.sealed = True
            self._held.add(segment)
            self._size += segment.size
            yield segment

    def _create(self) -> Segment:
        path = self._folder / f"{uuid7()}{SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        # Between these two lines another process may lock it, find it empty and delete it.
        if not _lock(file) or os.fstat(file).st_nlink == 0:
            os.close(file)
            return self._create()
        if self._spool.fsync == "always":
            folder = os.open(self._folder, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        self._active = Segment(path, file)
        return self._active

    def _write(self, segment: Segment, line: bytes) -> None:
        try:
            written = 0
            while written < len(line):
                written += os.write(segment.file, line[written:])
            if self._spool.fsync == "always":
                os.fsync(segment.file)
        except OSError:
            # Half a line would make the next event unreadable too.
            os.ftruncate(segment.file, segment.size)
            raise
        segment.size += len(line)
        self._size += len(line)

    def _delete_if_done(self, segment: Segment) -> None:
        if segment.sealed and segment.live == 0:
            segment.path.unlink(missing_ok=True)
            self._held.discard(segment)
            self._size -= segment.size
            os.close(segment.file)


def _line(payload: bytes) -> bytes:
    return b"%08x %b\n" % (zlib.crc32(payload), payload)


def _payload(line: bytes) -> bytes | None:
    checksum, _, payload = line.partition(b" ")
    return payload if checksum == b"%08x" % zlib.crc32(payload) else None


def _content(file: int) -> bytes:
    """All of an open file, also where its name is gone: somebody may have tidied the folder up."""
    return os.pread(file, os.fstat(file).st_size, 0)


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
