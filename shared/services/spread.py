"""Making independent writes: one after another, or several at a time."""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")


class Spread(Protocol):
    """How independent writes are made: one after another, or several at a time."""

    def __call__(
        self, work: Callable[[Part], Result], parts: Sequence[Part], /
    ) -> Sequence[Result]:
        """The result for each part, in order; raises what the first failed part raised."""


def one_by_one(work: Callable[[Part], Result], parts: Sequence[Part], /) -> Sequence[Result]:
    """Spreads nothing."""
    return [work(part) for part in parts]
