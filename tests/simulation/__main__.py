"""`python -m tests.simulation`: many seeds, one seed again, or the table of mutants."""

import argparse
import sys

from tests.simulation import campaign, shrinking
from tests.simulation.mix import Options


def main() -> int:
    """The exit code: 1 if any seed found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one and shrink it if it fails")
    parser.add_argument("--steps", type=int, help="so many steps instead of those drawn")
    parser.add_argument("--customers", type=int, help="with --seed: only so many customers")
    parser.add_argument("--without", default="", help="with --seed: faults to leave out, a,b,c")
    parser.add_argument("--seeds", type=int, default=300, help="how many seeds to play")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--quiet", action="store_true", help="leave the counters out")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        without = frozenset(filter(None, arguments.without.split(",")))
        options = Options(arguments.seed, arguments.steps, arguments.customers, without)
        return shrinking.replay(options)
    seeds = range(arguments.first, arguments.first + arguments.seeds)
    result = campaign.run(seeds, arguments.processes, arguments.steps)
    print(campaign.summary(result, counters=not arguments.quiet))
    return 1 if result.failed else 0


sys.exit(main())
