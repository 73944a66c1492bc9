"""Planted bugs: each must be caught by a named invariant, not by an exception.

`python -m tests.simulation.mutants` plays seeds until each is caught, and prints which invariants
saw it. The bugs are in modules by subject; importing this has all of them registered.
"""

from tests.simulation.mutants import (
    conditions,
    corrections,
    grants,
    invoicing,
    metering,
    packs,
    rating,
    reservations,
    terms,
    upkeep,
)
from tests.simulation.mutants.hunting import Catch, hunt, likely
from tests.simulation.mutants.planting import MUTANTS, planted

__all__ = ["MUTANTS", "SUBJECTS", "Catch", "hunt", "likely", "planted"]

SUBJECTS = (
    conditions,
    rating,
    grants,
    terms,
    invoicing,
    upkeep,
    metering,
    reservations,
    packs,
    corrections,
)
