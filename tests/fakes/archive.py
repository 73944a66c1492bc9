"""The archive in memory."""

import gzip
from collections.abc import Iterator

from shared.domain.errors import UnavailableError


class MemoryArchive:
    """See ArchiveFiles. While `broken`, it stores nothing and says so."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.broken = False

    def put(self, key: str, content: bytes) -> None:
        if self.broken:
            raise UnavailableError("The archive is out of reach.")
        self.files[key] = content

    def lines(self) -> Iterator[str]:
        """Every line of every file."""
        for content in self.files.values():
            yield from gzip.decompress(content).decode().splitlines()
