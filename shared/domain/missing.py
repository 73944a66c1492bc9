"""Which of the raw events a total lacks, told by count, sum and checksum.

What a stream loses is a run of what was received, or of a range of keys. At both ends of a run the
order of the stream and that of receipt may differ by a few events: those of one request, and of
requests that were answered at the same time.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from shared.domain.events import CHECKSUM_MODULUS
from shared.domain.reconciliation import ZERO, minus, total_of
from shared.domain.usage_hours import Quarter

Each = TypeVar("Each")

# So many sums are kept to look others up in, some 100 MB.
MAX_SUMS = 2**19
# Up to so many candidates any choice is tried: at most so many sums for each half.
MAX_FEW = 2 * (MAX_SUMS.bit_length() - 1)
# At each end of a run any choice of so many neighbours is tried, fewer of very many candidates.
MAX_RAGGED = 10


def find_missing(
    candidates: Sequence[tuple[Each, Quarter]], gap: Quarter, *, quick: bool = False
) -> tuple[Each, ...] | None:
    """The candidates that together make the gap, or None if they cannot be told.

    In whatever order they are given: a run of them, one or two, a run whose ends are ragged, or all
    but these; of few candidates any. `quick` is to try runs, one and two alone.
    """
    # One candidate may count several times, once for each meter, and reversals count down.
    counts = [own.count for _, own in candidates]
    least, most = (sum(min(n, 0) for n in counts), sum(max(n, 0) for n in counts))
    if gap == ZERO or not least <= gap.count <= most:
        return None
    rest = minus(total_of(own for _, own in candidates), gap)
    very_few = len(candidates) <= 2 * MAX_RAGGED
    searches = [_run, _pair] if quick else [_run, _pair, _any if very_few else _ragged_run]
    for search in searches:
        if (found := search(candidates, gap)) is not None:
            return tuple(candidates[i][0] for i in found)
        if (others := search(candidates, rest)) is not None:
            chosen = set(others)
            return tuple(each for i, (each, _) in enumerate(candidates) if i not in chosen)
    few = len(candidates) <= MAX_FEW and not very_few and not quick
    found = _any(candidates, gap) if few else None
    return None if found is None else tuple(candidates[i][0] for i in found)


def _run(candidates: Sequence[tuple[Each, Quarter]], gap: Quarter) -> tuple[int, ...] | None:
    """The neighbours that make the gap: a difference of two running sums is theirs."""
    running = [ZERO]
    for _, own in candidates:
        running.append(running[-1].merged(own))
    # The nearest end: a longer run would hold events and their reversals, which make nothing.
    ends: dict[tuple[int, int], int] = {}
    for first in reversed(range(len(running))):
        after = running[first].merged(gap)
        last = ends.get((after.count, after.checksum))
        if last is not None and running[last] == after:
            return tuple(range(first, last))
        ends[running[first].count, running[first].checksum] = first
    return None


def _pair(candidates: Sequence[tuple[Each, Quarter]], gap: Quarter) -> tuple[int, ...] | None:
    """The one or two, anywhere, that make the gap."""
    seen: dict[int, int] = {}
    for index, (_, own) in enumerate(candidates):
        if own == gap:
            return (index,)
        rest = minus(gap, own)
        other = seen.get(rest.checksum)
        if other is not None and candidates[other][1] == rest:
            return (other, index)
        seen[own.checksum] = index
    return None


def _any(candidates: Sequence[tuple[Each, Quarter]], gap: Quarter) -> tuple[int, ...] | None:
    """Any that make the gap: every choice of one half is looked up among those of the other."""
    shares = [own.checksum for _, own in candidates]
    middle = len(shares) // 2
    lower = {each % CHECKSUM_MODULUS: chosen for chosen, each in enumerate(_sums(shares[:middle]))}
    for chosen, each in enumerate(_sums(shares[middle:])):
        other = lower.get((gap.checksum - each) % CHECKSUM_MODULUS)
        if other is None:
            continue
        found = (*_chosen(0, other), *_chosen(middle, chosen))
        if total_of(candidates[i][1] for i in found) == gap:
            return found
    return None


def _ragged_run(candidates: Sequence[tuple[Each, Quarter]], gap: Quarter) -> tuple[int, ...] | None:
    """The neighbours that make the gap, and any choice of the few before and after them.

    With what is chosen before a run and the sum of all up to it, the sum up to its end and what is
    chosen after it are known, but for the gap: they are looked up by checksum.
    """
    total = len(candidates)
    width = min(MAX_RAGGED, (MAX_SUMS // (total + 1)).bit_length() - 1)
    if width < 1:
        return None
    shares = [own.checksum for _, own in candidates]
    running = [0]
    for share in shares:
        running.append((running[-1] + share) % CHECKSUM_MODULUS)
    # The first start wins: of the same choice, told from several, its run is the longest.
    starts: dict[int, tuple[int, int]] = {}
    for first in reversed(range(total + 1)):
        for mask, chosen in enumerate(_sums(shares[max(0, first - width) : first])):
            starts[(running[first] - chosen) % CHECKSUM_MODULUS] = (first, mask)
    for last in range(total + 1):
        for mask, chosen in enumerate(_sums(shares[last : last + width])):
            start = starts.get((running[last] + chosen - gap.checksum) % CHECKSUM_MODULUS)
            if start is None or start[0] > last:
                continue
            first, before = start
            found = (
                *_chosen(max(0, first - width), before),
                *range(first, last),
                *_chosen(last, mask),
            )
            if total_of(candidates[i][1] for i in found) == gap:
                return found
    return None


def _chosen(first: int, mask: int) -> Iterator[int]:
    """The places of a choice, which are counted from the first."""
    return (first + bit for bit in range(mask.bit_length()) if mask >> bit & 1)


def _sums(shares: Sequence[int]) -> list[int]:
    """The sum of every choice of the shares, a bit of its place for each."""
    sums = [0]
    for share in shares:
        sums += [each + share for each in sums]
    return sums
