"""The small form of `python -m bench.sdk`: many events through every fault, each stored once."""

from dataclasses import replace

from bench.sdk import HURRIED, prove
from tests.sdk.stub_server import FAULTS


def test_20_000_events_through_every_fault_are_stored_once_each() -> None:
    options = replace(HURRIED, batching=replace(HURRIED.batching, max_events=100))
    proof = prove(20_000, rate=0.4, seed=3, options=options)
    assert (proof.lost, proof.doubled) == (0, 0)
    assert proof.tally["numbers_sum"] == sum(range(20_000))
    assert proof.tally["most_of_one_number"] == 1
    assert set(proof.tally["faults"]) == set(FAULTS)
    counters = proof.counters
    assert counters.accepted + counters.duplicates == 20_000
    assert (counters.dropped, counters.failed, counters.kept, counters.pending) == (0, 0, 0, 0)
    assert counters.retried > 50


def test_a_loss_and_a_double_would_be_seen() -> None:
    proof = prove(10, rate=0.0, seed=1)
    assert replace(proof, tally={**proof.tally, "numbers": 9}).lost == 1
    assert replace(proof, tally={**proof.tally, "stored": 11}).doubled == 1
