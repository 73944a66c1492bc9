"""The virtual clock of a seed, and the trace of all that happened by it."""

import hashlib
import json
from datetime import datetime


class Timeline:
    """`now` is the true time, which whoever plays the world moves."""

    def __init__(self, start: datetime) -> None:
        self.start = start
        self.now = start
        self._hash = hashlib.sha256()

    def note(self, *what: object) -> None:
        """Adds to the trace."""
        self._hash.update(json.dumps([self.now.isoformat(), *map(str, what)]).encode())

    @property
    def trace(self) -> str:
        """One text for all that happened, in order."""
        return self._hash.hexdigest()

    def seconds(self) -> float:
        """How long the seed has been played."""
        return (self.now - self.start).total_seconds()

    def unix_seconds(self) -> float:
        """The present as machines count it."""
        return self.now.timestamp()
