"""Where usage belongs: the phase that its own time picks, and what its values claim there."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from shared.domain.accounts import Account, ClosedPhase, Phase
from shared.domain.catalogue import Catalogue
from shared.domain.errors import MeterlineError, RatingError
from shared.domain.events import Measurement, takes_value_back
from shared.domain.rating import rate_card_index
from shared.domain.records import Record


def find_phase(
    account: Account, closed: Sequence[ClosedPhase], at: datetime
) -> tuple[Phase, ClosedPhase | None]:
    """The phase that usage at the instant belongs to, and its closing if it is closed.

    Usage from before the first phase belongs to the first.

    Raises: RatingError when the phase is no longer kept.
    """
    frozen = {c.phase.number: c for c in closed}
    phases = sorted([*account.phases, *(c.phase for c in closed)], key=lambda p: p.number)
    for phase in reversed(phases):
        if at >= phase.start:
            return phase, frozen.get(phase.number)
    if phases[0].number == 1:
        return phases[0], frozen.get(1)
    raise RatingError("the phase of this usage is closed and no longer kept")


def needs_closed_phases(account: Account, at: datetime) -> bool:
    """Whether usage at the instant can only be placed with the closed phases at hand."""
    first = account.phases[0]
    return at < first.start and first.number > 1


@dataclass(frozen=True, slots=True)
class Claim:
    """A distinct value that a phase's rate card has counted: whoever brings it again adds nothing.

    `card` is the rate card's place in the plan, `value` a hash.
    """

    phase: int
    card: int
    value: str


def claim_of(phase: Phase, measurement: Measurement, catalogue: Catalogue) -> Claim | None:
    """What counting the measurement's distinct value claims, if it has one that is billed."""
    if measurement.distinct is None or takes_value_back(measurement):
        return None
    index = rate_card_index(phase.plan_in(catalogue), measurement)
    return None if index is None else Claim(phase.number, index, measurement.distinct)


def claims_of(
    records: Iterable[Record], account: Account, closed: Sequence[ClosedPhase], catalogue: Catalogue
) -> set[Claim]:
    """The claims that the records may find made; none in phases that are still to be opened.

    A record that cannot be rated is for folding to tell.
    """
    claims: set[Claim | None] = set()
    for record in records:
        at = record.event.occurred_at
        if at < account.boundary and any(m.distinct for m in record.measurements):
            with suppress(MeterlineError):
                phase, _ = find_phase(account, closed, at)
                claims |= {claim_of(phase, m, catalogue) for m in record.measurements}
    return {claim for claim in claims if claim is not None}
