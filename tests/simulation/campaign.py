"""Many seeds in several processes, and what they came to together."""

import gc
import hashlib
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.simulation.mix import Options
from tests.simulation.runs import Verdict, play
from tests.simulation.shrinking import command

SHOWN_FAILURES = 5


@dataclass
class Result:
    """The sum of all verdicts."""

    seeds: int = 0
    events: int = 0
    seconds: float = 0.0
    seen: Counter[str] = field(default_factory=Counter)
    failed: list[Verdict] = field(default_factory=list)
    traces: dict[int, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """One text for all seeds' traces, in the order of the seeds."""
        text = "".join(f"{seed} {trace}\n" for seed, trace in sorted(self.traces.items()))
        return hashlib.sha256(text.encode()).hexdigest()


def run(seeds: Iterable[int], processes: int, steps: int | None = None) -> Result:
    """Plays every seed; `steps` is for all of them to have so many."""
    result = Result()
    options = (Options(seed, steps) for seed in seeds)
    started = time.monotonic()
    with multiprocessing.Pool(processes) as pool:
        for verdict in pool.imap_unordered(_play, options, chunksize=4):
            result.seeds += 1
            result.events += verdict.events
            result.seen.update(verdict.seen)
            result.traces[verdict.options.seed] = verdict.trace
            if verdict.findings or verdict.errors:
                result.failed.append(verdict)
                print("\n".join(_failure(verdict)), file=sys.stderr, flush=True)
            if result.seeds % 1000 == 0:
                print(summary(result, counters=False), file=sys.stderr, flush=True)
    result.seconds = time.monotonic() - started
    return result


def _play(options: Options) -> Verdict:
    """Plays the seed, and collects its garbage once: a quarter of the time went into looking."""
    gc.disable()
    verdict = play(options)
    gc.collect()
    return verdict


def summary(result: Result, *, counters: bool) -> str:
    """What ran, what was hit, and how to see each failure again."""
    lines = []
    if counters:
        lines += ["| what | times |", "|---|--:|"]
        lines += [f"| {name} | {times:,} |" for name, times in sorted(result.seen.items())]
        lines.append("")
    for verdict in sorted(result.failed, key=lambda v: v.options.seed)[:SHOWN_FAILURES]:
        lines += _failure(verdict)
    lines.append(
        f"{result.seeds:,} seeds, {result.events:,} events, {len(result.failed)} violated "
        f"an invariant, in {result.seconds:.0f} s"
    )
    lines.append(f"trace digest {result.digest}")
    return "\n".join(lines)


def _failure(verdict: Verdict) -> list[str]:
    return [
        f"seed {verdict.options.seed}: replay with `{command(verdict.options)}`",
        *(f"  {f.invariant}: {f.detail}" for f in verdict.findings[:3]),
        *(f"  {error.splitlines()[-1]}" for error in verdict.errors[:1]),
    ]
