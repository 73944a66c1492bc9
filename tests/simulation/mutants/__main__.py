"""Plants each known bug, and prints which invariants catch it."""

import argparse
import multiprocessing
import sys
from functools import partial

from tests.simulation.auditor import INVARIANTS
from tests.simulation.mix import FAULTS
from tests.simulation.mutants import MUTANTS, hunt, likely
from tests.simulation.mutants.hunting import MAX_SEEDS


def main() -> int:
    """Prints the table; 1 if a mutant got away or an invariant caught none."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants")
    parser.add_argument("names", nargs="*", help="only these mutants")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=MAX_SEEDS, help="how many of them")
    faults = parser.add_argument("--fault", action="append", default=[], choices=FAULTS)
    faults.help = "only seeds in which the fault is on, given any number of times"
    arguments = parser.parse_args()
    names = arguments.names or list(MUTANTS)
    seeds = likely(range(arguments.first, arguments.first + arguments.seeds), arguments.fault)
    with multiprocessing.Pool(arguments.processes) as pool:
        catches = []
        for catch in pool.imap(partial(hunt, seeds=seeds), names):
            print(catch.row(), flush=True)
            catches.append(catch)
    idle = [i for i in INVARIANTS if not any(i in catch.invariants for catch in catches)]
    if not arguments.names and idle:
        print(f"caught nothing: {', '.join(idle)}")
    missed = [catch.name for catch in catches if catch.seed is None]
    print(f"{len(catches)} mutants, {len(missed)} not caught")
    return 1 if missed or (idle and not arguments.names) else 0


if __name__ == "__main__":
    sys.exit(main())
