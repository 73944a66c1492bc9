"""Several writes at a time, where each mostly waits for its answer."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from shared.services.spread import Part, Result, one_by_one

AT_A_TIME = 4


class Threads:
    """See Spread. Each call has threads of its own, so that calls within calls cannot starve."""

    def __call__(
        self, work: Callable[[Part], Result], parts: Sequence[Part], /
    ) -> Sequence[Result]:
        if len(parts) <= 1:
            return one_by_one(work, parts)
        with ThreadPoolExecutor(min(AT_A_TIME, len(parts))) as pool:
            return list(pool.map(work, parts))
