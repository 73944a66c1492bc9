"""Events in batches to the API, and an account of what became of each of them."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from cli.client import ApiError, Client, ClientError
from cli.event_files import Refusal, Row

MAX_BATCH_EVENTS = 1000
MAX_BATCH_BYTES = 2**20

_EVENT_POINTER = re.compile(r"/([0-9]+)(.*)", re.DOTALL)


@dataclass
class Account:
    """What became of the events. `unmetered` are accepted ones that no meter reads."""

    accepted: int = 0
    duplicates: int = 0
    unmetered: int = 0
    refused: list[Refusal] = field(default_factory=list)

    def text(self) -> str:
        """One line for people."""
        return (
            f"{self.accepted} accepted, {self.duplicates} duplicates, "
            f"{self.unmetered} unmetered, {len(self.refused)} refused"
        )


class RefusedError(ClientError):
    """Events were refused, and the rest is not to be sent without them."""


@dataclass
class Delivery:
    """Sends rows. With `keep_going` a refused batch is narrowed to what can be accepted."""

    client: Client
    keep_going: bool
    tell: Callable[[Refusal], None]
    account: Account = field(default_factory=Account)

    def refuse(self, refusals: Sequence[Refusal]) -> None:
        """Enters refusals into the account, and tells of each."""
        self.account.refused += refusals
        for refusal in refusals:
            self.tell(refusal)

    def send(self, batch: Sequence[Row]) -> None:
        """Sends one batch.

        Raises: RefusedError where it is not to keep going; ClientError where nothing can be sent.
        """
        while batch:
            body = f"[{','.join(row.text for row in batch)}]".encode()
            try:
                answer = self.client.call("POST", "/v1/events", body=body)
            except ApiError as error:
                batch = self._narrowed(error, batch)
            else:
                self.account.accepted += answer["accepted"]
                self.account.duplicates += answer["duplicates"]
                self.account.unmetered += answer["unmetered"]
                return

    def _narrowed(self, error: ApiError, batch: Sequence[Row]) -> Sequence[Row]:
        """What is left to send of a refused batch."""
        places = {} if error.is_passing else _places(error, len(batch))
        if not places:
            raise error
        self.refuse([Refusal(batch[n].line, *problem) for n, problem in places.items()])
        # A conflict refuses only itself: the answer says what became of the others.
        stored = len(error.outcomes) == len(batch)
        if stored:
            self.account.accepted += error.outcomes.count("accepted")
            self.account.duplicates += error.outcomes.count("duplicate")
        if not self.keep_going:
            raise RefusedError(f"{error.status} {error.code}: {error.detail}") from error
        return [] if stored else [row for n, row in enumerate(batch) if n not in places]


def batches(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """The rows in order, in batches that a request can take."""
    batch: list[Row] = []
    length = 1
    for row in rows:
        bytes_more = encoded_bytes(row) + 1
        if batch and (len(batch) == size or length + bytes_more > MAX_BATCH_BYTES):
            yield batch
            batch, length = [], 1
        batch.append(row)
        length += bytes_more
    if batch:
        yield batch


def encoded_bytes(row: Row) -> int:
    """How much of a request the row takes."""
    return len(row.text) if row.text.isascii() else len(row.text.encode())


def _places(error: ApiError, size: int) -> dict[int, tuple[str, str]]:
    """The first problem of each event that the refusal points at, by the event's place."""
    found: dict[int, tuple[str, str]] = {}
    for problem in error.errors:
        match = _EVENT_POINTER.fullmatch(problem["pointer"])
        if match and int(match[1]) < size:
            found.setdefault(int(match[1]), (match[2], problem["code"]))
    return found
