"""Segments in memory."""

from shared.domain.segments import Segment
from shared.services.changes import PutAudit
from shared.services.store import Page


class MemorySegmentStore:
    """See SegmentStore; `audits` has what came with the changes."""

    def __init__(self) -> None:
        self.segments: dict[str, Segment] = {}
        self.audits: list[PutAudit] = []

    def get(self, key: str) -> Segment | None:
        return self.segments.get(key)

    def list(self, limit: int, cursor: str | None) -> Page[Segment]:
        keys = sorted(key for key in self.segments if cursor is None or key > cursor)
        found = tuple(self.segments[key] for key in keys[:limit])
        return Page(found, keys[limit - 1] if len(keys) > limit else None)

    def put(self, segment: Segment, audit: PutAudit) -> None:
        self.segments[segment.key] = segment
        self.audits.append(audit)

    def delete(self, key: str, audit: PutAudit) -> None:
        self.segments.pop(key, None)
        self.audits.append(audit)
