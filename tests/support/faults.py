"""Faults beneath the AWS client: requests counted, cut off, or answered into the void."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session

WRITES = frozenset(
    {"BatchExecuteStatement", "BatchWriteItem", "PutItem", "TransactWriteItems", "UpdateItem"}
)


class Killed(BaseException):
    """The function's process is gone: nothing of it may go on."""


@contextmanager
def hooked(client: Any, moment: str, hook: Callable[..., Any]) -> Iterator[None]:
    """The hook at each of the client's requests; `moment` is one of botocore's events."""
    name = f"{moment}.dynamodb.*"
    client.meta.events.register_first(name, hook, unique_id="fault")
    try:
        yield
    finally:
        client.meta.events.unregister(name, hook, unique_id="fault")


@contextmanager
def counted(client: Any) -> Iterator[list[str]]:
    """The names of the operations that are sent while the block runs."""
    sent: list[str] = []

    def note(event_name: str, **_: Any) -> None:
        sent.append(operation_of(event_name))

    with hooked(client, "before-send", note):
        yield sent


@contextmanager
def killed_at_write(client: Any, index: int, *, committed: bool) -> Iterator[None]:
    """Kills at the write with this index: before it is sent, or when it has been made."""
    seen = 0

    def kill(event_name: str, **_: Any) -> None:
        nonlocal seen
        if operation_of(event_name) in WRITES:
            seen += 1
            if seen == index + 1:
                raise Killed

    try:
        with hooked(client, "after-call" if committed else "before-send", kill):
            yield
    except Killed:
        return
    raise AssertionError(f"there was no write {index}")


@contextmanager
def replies_lost(client: Any, chosen: Callable[[int], bool]) -> Iterator[list[str]]:
    """Makes the chosen writes (by index), but lets their callers wait for the answer in vain."""
    session = URLLib3Session()
    lost: list[str] = []
    seen = 0

    def lose(event_name: str, request: Any, **_: Any) -> None:
        nonlocal seen
        operation = operation_of(event_name)
        if operation not in WRITES:
            return
        seen += 1
        if chosen(seen - 1):
            session.send(request)
            lost.append(operation)
            raise ReadTimeoutError(endpoint_url=request.url)

    with hooked(client, "before-send", lose):
        yield lost


def operation_of(event_name: str) -> str:
    """The operation in the name of a botocore event."""
    return event_name.rpartition(".")[2]
