"""How many customers there are, and how many came, began to pay and ceased to: told from phases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.domain.accounts import Phase
from shared.domain.catalogue import Catalogue

Measure = Literal["customers", "new", "converted", "cancelled"]


@dataclass(frozen=True, slots=True)
class Counted:
    """One that counts, and the phase by which it does."""

    measure: Measure
    phase: Phase


def counted(
    phases: Sequence[Phase], catalogue: Catalogue, start: datetime, end: datetime
) -> Iterator[Counted]:
    """What one customer's phases, oldest first, count for in [start, end).

    It is there at the end, in the phase in force before it. It is new where its first phase began;
    converted where it came to a plan that it pays for, from another one or a trial; and cancelled,
    by the phase that it left, where it came back to one that it does not pay for.
    """
    begun = [phase for phase in phases if phase.start < end]
    if begun:
        yield Counted("customers", begun[-1])
    paid: Phase | None = None
    for number, phase in enumerate(begun):
        within = phase.start >= start
        if number == 0 and within:
            yield Counted("new", phase)
        if phase.state == "paused":
            continue
        if not _is_paid(phase, catalogue):
            if paid is not None and within:
                yield Counted("cancelled", paid)
            paid = None
        elif paid is not None or phase.state != "trial":
            if paid is None and number > 0 and within:
                yield Counted("converted", phase)
            paid = phase


def _is_paid(phase: Phase, catalogue: Catalogue) -> bool:
    """Whether a customer has to choose its plan, and may come to pay for it."""
    plan = catalogue.plan(phase.plan, phase.plan_version)
    return plan.bills and not plan.default and plan.converts_to is None
