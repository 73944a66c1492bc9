"""Where a consumer's progress is kept: in memory for simulations, in a file on one machine."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from local.streams.model import Cursor, Progress, StreamRecord, Window


class MemoryProgress:
    """Progress that a new consumer finds again as long as the process lives."""

    def __init__(self) -> None:
        self.progress = Progress()

    def load(self) -> Progress:
        return self.progress

    def save(self, progress: Progress) -> None:
        self.progress = progress


class FileProgress:
    """Progress in a JSON file that is replaced as a whole, never half-written.

    Without the file a consumer starts from the oldest record: it may deliver again what was
    delivered before, but it skips nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Progress:
        try:
            stored: dict[str, Any] = json.loads(self._path.read_text())
        except FileNotFoundError:
            return Progress()
        acknowledged, window = stored["acknowledged"], stored["window"]
        return Progress(
            Cursor(**acknowledged) if acknowledged else None,
            Window(**window) if window else None,
            tuple(
                StreamRecord(Cursor(**record["cursor"]), record["body"])
                for record in stored["backlog"]
            ),
        )

    def save(self, progress: Progress) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(progress)))
        fresh.replace(self._path)
