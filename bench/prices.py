"""`python -m bench.prices`: 100,000 random prices of every model, by two arithmetics."""

import sys
from random import Random

from tests.support.random_prices import disagreement

CASES = 100_000


def main() -> int:
    """Prints where decimals and fractions differ; the status is 1 if they do anywhere."""
    cases = (disagreement(Random(seed)) for seed in range(CASES))  # noqa: S311 (replayable)
    found = [wrong for wrong in cases if wrong]
    print(f"{CASES:,} prices against fractions: {len(found)} differ")
    for wrong in found[:10]:
        print(f"  {wrong}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
