"""Headcounts: trials, pauses and plans that nobody pays for."""

import pytest

from shared.domain.accounts import Phase
from shared.domain.catalogue import Catalogue, PhaseState
from shared.domain.headcount import counted
from tests.support.builders import DAY, MARCH, a_plan

FREE = a_plan(key="free")
PAID = a_plan(key="paid", default=False)
CATALOGUE = Catalogue(version=1, plans={"free": (FREE,), "paid": (PAID,)})


def phases(*spans: tuple[str, PhaseState]) -> list[Phase]:
    """A phase a day from 1 March on."""
    return [
        Phase(
            number=n + 1, period=1, start=MARCH + n * DAY, end=MARCH + (n + 1) * DAY,
            plan=plan, plan_version=1, totals=(), state=state,
        )
        for n, (plan, state) in enumerate(spans)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        (
            [("free", "active"), ("paid", "active")],
            [("customers", 2), ("new", 1), ("converted", 2)],
        ),
        ([("paid", "active")], [("customers", 1), ("new", 1)]),
        ([("paid", "trial"), ("paid", "active")], [("customers", 2), ("new", 1), ("converted", 2)]),
        ([("paid", "trial"), ("free", "active")], [("customers", 2), ("new", 1)]),
        (
            [("paid", "active"), ("paid", "paused"), ("paid", "active"), ("free", "active")],
            [("customers", 4), ("new", 1), ("cancelled", 3)],
        ),
    ],
)
def test_who_pays_is_told_from_phases(
    spans: list[tuple[str, PhaseState]], expected: list[tuple[str, int]]
) -> None:
    found = counted(phases(*spans), CATALOGUE, MARCH, MARCH + 9 * DAY)
    assert [(each.measure, each.phase.number) for each in found] == expected


def test_only_what_happened_in_the_time_counts() -> None:
    whole = phases(("free", "active"), ("paid", "active"), ("free", "active"))
    found = counted(whole, CATALOGUE, MARCH + DAY, MARCH + 2 * DAY)
    assert [(each.measure, each.phase.number) for each in found] == [
        ("customers", 2), ("converted", 2),
    ]  # fmt: skip
    assert not list(counted(whole, CATALOGUE, MARCH - DAY, MARCH))
