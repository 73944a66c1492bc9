"""A failing seed again, and the least of it that still fails in the same way."""

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.mix import Options, draw_mix
from tests.simulation.runs import Verdict, play


def command(options: Options) -> str:
    """The command that plays these options."""
    parts = [f"python -m tests.simulation --seed {options.seed}"]
    if options.steps is not None:
        parts.append(f"--steps {options.steps}")
    if options.customers is not None:
        parts.append(f"--customers {options.customers}")
    if options.without:
        parts.append(f"--without {','.join(sorted(options.without))}")
    return " ".join(parts)


def broken(verdict: Verdict) -> set[str]:
    """Which invariants the run found broken; "error" for an exception that nothing expects."""
    return {f.invariant for f in verdict.findings} | ({"error"} if verdict.errors else set())


def shrink(options: Options, wanted: str, tries: int = 200) -> Options:
    """Fewer steps, customers and faults, as long as the same invariant breaks."""
    smaller = True
    while smaller:
        smaller = False
        for candidate in _smaller(options):
            tries -= 1
            if tries < 0:
                return options
            if wanted in broken(play(candidate)):
                options, smaller = candidate, True
                break
    return options


def _smaller(options: Options) -> Iterator[Options]:
    mix = draw_mix(options)
    for steps in (mix.steps // 2, mix.steps * 3 // 4, mix.steps - 10):
        if 0 < steps < mix.steps:
            yield replace(options, steps=steps)
    if mix.customers > 1:
        yield replace(options, customers=mix.customers - 1)
    for fault in sorted(mix.rates):
        yield replace(options, without=options.without | {fault})


def replay(options: Options) -> int:
    """Plays one seed and prints what was found; shrinks a failing one. The exit code."""
    verdict = play(options)
    print(f"{command(options)}: {verdict.events} events, trace {verdict.trace[:16]}")
    for finding in verdict.findings:
        print(f"  {finding.invariant}: {finding.detail}")
    for error in verdict.errors[:2]:
        print(error)
    if not broken(verdict):
        return 0
    least = shrink(options, min(broken(verdict)))
    print(f"the least that still fails: {command(least)}")
    print(f"  faults: {', '.join(sorted(draw_mix(least).rates)) or 'none'}")
    for finding in play(least).findings[:5]:
        print(f"  {finding.invariant}: {finding.detail}")
    return 1
