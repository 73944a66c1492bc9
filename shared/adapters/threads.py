"""Several writes at a time, where each mostly waits for its answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Part = TypeVar("Part")
Result = TypeVar("Result")

AT_A_TIME = 4


class Threads:
    """See Spread. Each call has threads of its own, so that calls within calls cannot starve."""

    def __call__(
        self, work: Callable[[Part], Result], parts: Sequence[Part], /
    ) -> Sequence[Result]:
        if len(parts) <= 1:
            return [work(part) for part in parts]
        with ThreadPoolExecutor(min(AT_A_TIME, len(parts))) as pool:
            return list(pool.map(work, parts))
