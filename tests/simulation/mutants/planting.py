"""How a bug is planted: a mutant replaces functions of the system by ones that are wrong."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

from tests.fakes.billing_store import MemoryBillingStore

Patch = tuple[Any, str, Any]

MUTANTS: dict[str, Callable[[], Sequence[Patch]]] = {}


def mutant(build: Callable[[], Sequence[Patch]]) -> Callable[[], Sequence[Patch]]:
    """Registers a planted bug under its function's name."""
    MUTANTS[build.__name__.replace("_", "-")] = build
    return build


@contextmanager
def planted(name: str) -> Iterator[None]:
    """The bug is in the system while the block runs."""
    with ExitStack() as stack:
        for target, attribute, wrong in MUTANTS[name]():
            stack.enter_context(mock.patch.object(target, attribute, wrong))
        yield


def unconditional(kind: type) -> Patch:
    """A commit whose condition on one kind of change is dropped."""
    holds = MemoryBillingStore._holds

    def wrong(self: MemoryBillingStore, change: Any) -> bool:
        return isinstance(change, kind) or holds(self, change)

    return MemoryBillingStore, "_holds", wrong
