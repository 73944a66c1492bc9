"""Checkpoints: every record once, numbers as integers, memory for as long as it is needed."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.checkpoints import ENTRY_BYTES, LIFETIME_SECONDS, Checkpoints

# DynamoDB's longest sequence numbers have 40 digits.
sequences = st.integers(1, 10**40 - 1)
shards = st.text("abc", min_size=1, max_size=3)
NOW = 1_800_000_000


@given(st.dictionaries(shards, sequences, max_size=12))
def test_packed_checkpoints_come_back(positions: dict[str, int]) -> None:
    checkpoints = Checkpoints()
    for shard, sequence in positions.items():
        checkpoints = checkpoints.advanced(shard, sequence, NOW)
    packed = checkpoints.pack()
    assert len(packed) == ENTRY_BYTES * len(positions)
    assert Checkpoints.unpack(packed) == checkpoints
    assert Checkpoints.unpack(packed).pack() == packed


@given(sequences, sequences)
def test_a_record_at_or_below_the_number_was_applied(stored: int, asked: int) -> None:
    checkpoints = Checkpoints().advanced("a", stored, NOW)
    assert checkpoints.applied("a", asked) == (asked <= stored)
    assert not checkpoints.applied("b", asked)


def test_numbers_of_unequal_length_compare_as_integers() -> None:
    """As text, "999" would stand above "1000"."""
    checkpoints = Checkpoints().advanced("a", 999, NOW)
    assert not checkpoints.applied("a", 1000)


def test_a_shard_is_let_go_48_hours_after_its_last_use() -> None:
    checkpoints = Checkpoints().advanced("old", 5, NOW).advanced("new", 5, NOW + LIFETIME_SECONDS)
    assert checkpoints.applied("old", 5)
    later = checkpoints.advanced("new", 6, NOW + LIFETIME_SECONDS + 1)
    assert not later.applied("old", 5)
    assert later.applied("new", 6)
