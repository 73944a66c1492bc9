"""The simulation itself: it repeats, it shrinks, its auditor stands apart, and it can fail."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mix import Options, draw_mix
from tests.simulation.mutants import MUTANTS, hunt, likely, planted
from tests.simulation.runs import play
from tests.simulation.shrinking import broken, command, shrink

HERE = Path(__file__).parent


def test_the_auditor_shares_no_code_with_the_system() -> None:
    allowed = {*sys.stdlib_module_names, "tests"}
    for path in sorted((HERE / "auditor").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.partition(".")[0] in allowed, f"{path} imports {name}"
                assert not name.startswith("tests.") or name.startswith("tests.simulation.auditor")


def test_a_seed_has_one_trace() -> None:
    """In other processes too, whatever order their sets are in."""
    traces = set()
    for hash_seed in ("1", "2"):
        answer = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seed", "5"],
            cwd=HERE.parent.parent,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            check=True,
            capture_output=True,
            text=True,
        )
        traces.add(answer.stdout)
    assert len(traces) == 1
    assert play(Options(5)).trace[:16] in traces.pop()
    assert play(Options(6)).trace != play(Options(5)).trace


@pytest.mark.parametrize(
    ("name", "invariant"),
    [
        ("acknowledged-before-durable", "V1"),
        ("hour-checkpoint-skipped", "V2"),
        ("unreadable-record-dropped", "V3"),
        ("journal-skips-versions", "V4"),
        ("recurring-grant-counted-twice", "V5"),
        ("rounded-per-record", "V6"),
        ("periods-in-utc", "V7"),
        ("fee-charged-again-after-a-change", "V8"),
        ("invoice-number-skipped", "V9"),
        ("rollover-makes-money", "V13"),
        ("expired-grant-drawn", "V15"),
        ("expired-stays-reserved", "V5"),
        ("packs-at-the-price-of-one", "V8"),
        ("corrected-as-it-was-sent", "V1"),
        ("credits-never-given-back", "V6"),
        ("lowered-without-giving-back", "V6"),
    ],
)
def test_a_planted_bug_is_caught_by_its_invariant(name: str, invariant: str) -> None:
    catch = hunt(name, range(30))
    assert invariant in catch.invariants


@pytest.mark.parametrize("name", MUTANTS)
def test_there_is_a_place_for_every_planted_bug(name: str) -> None:
    """What was renamed since cannot be replaced any more."""
    places = [(target, attribute) for target, attribute, _ in MUTANTS[name]()]
    right = [getattr(target, attribute) for target, attribute in places]
    with planted(name):
        planted_now = [getattr(target, attribute) for target, attribute in places]
    assert all(a is not b for a, b in zip(planted_now, right, strict=True))


def test_seeds_are_chosen_by_what_they_draw() -> None:
    chosen = likely(range(40), ["usage-outage", "poison"])
    assert 0 < len(chosen) < 20
    for seed in range(40):
        rates = draw_mix(Options(seed)).rates
        both = rates.get("usage-outage", 0) > 0 and rates.get("poison", 0) > 0
        assert both == (seed in chosen)


def test_a_failing_seed_shrinks_to_less_that_fails_alike() -> None:
    catch = hunt("unreadable-record-dropped", range(30))
    assert catch.seed is not None
    whole = Options(catch.seed)
    with planted("unreadable-record-dropped"):
        least = shrink(whole, "V3", tries=12)
        assert "V3" in broken(play(least))
    mix, smaller = draw_mix(whole), draw_mix(least)
    assert smaller.steps < mix.steps or len(smaller.rates) < len(mix.rates)
    assert command(least).startswith(f"python -m tests.simulation --seed {catch.seed}")
