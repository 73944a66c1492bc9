"""Playing seeds until a planted bug is caught."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

from shared.domain import missing
from tests.simulation.auditor import INVARIANTS
from tests.simulation.mix import Options, draw_mix
from tests.simulation.mutants.planting import planted
from tests.simulation.runs import play

MAX_SEEDS = 1000


@dataclass(frozen=True)
class Catch:
    """How a mutant was caught: by which invariants, at which seed; by none within the bound.

    `error` is the first exception that nothing in the seeds expects: a mutant that is out of date
    has one.
    """

    name: str
    invariants: tuple[str, ...] = ()
    seed: int | None = None
    error: str = ""

    def row(self) -> str:
        """A row of the table."""
        caught = ", ".join(self.invariants) or f"NOT CAUGHT {self.error}"
        return f"{self.name:<36} {caught:<24} {self.seed}"


def hunt(name: str, seeds: Iterable[int] = range(MAX_SEEDS)) -> Catch:
    """Plays seeds until an invariant is found broken that holds without the bug."""
    error = ""
    for seed in seeds:
        with planted(name), _impatience():
            verdict = play(Options(seed))
        found = {finding.invariant for finding in verdict.findings}
        if found:
            with _impatience():
                found -= {finding.invariant for finding in play(Options(seed)).findings}
        if found:
            return Catch(name, tuple(sorted(found, key=INVARIANTS.index)), seed)
        error = error or "".join(verdict.errors[:1])
    return Catch(name, error=error.strip().rpartition("\n")[2])


@contextmanager
def _impatience() -> Iterator[None]:
    """Reconciliation does not search for long for what is missing.

    Where a bug makes numbers contradict each other, every look would search in vain for seconds. A
    loss that could have been named by a longer search is found broken without the bug as well.
    """
    few = mock.patch.object(missing, "MAX_FEW", 20)
    with few, mock.patch.object(missing, "MAX_SUMS", 2**10):
        yield


def likely(seeds: Iterable[int], faults: Iterable[str]) -> list[int]:
    """Those of the seeds in which all of the faults are on."""
    wanted = list(faults)
    return [seed for seed in seeds if all(draw_mix(Options(seed)).rate(each) for each in wanted)]
