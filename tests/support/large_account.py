"""An account with large numbers everywhere, of a given shape."""

from datetime import timedelta
from decimal import Decimal

from shared.domain.accounts import Account, Phase, Totals
from shared.domain.checkpoints import Checkpoints
from shared.domain.credits import Validity
from tests.support.builders import APRIL, DAY, MARCH, units

# A hundred million events, a billion billion nanos, a checksum of 64 bits.
LARGE = Totals(
    count=123_456_789,
    value=Decimal("987654321098.765432"),
    covered=Decimal(1000000),
    amount=units("7654321.987654321"),
    drawn=units("54321.987654321"),
    overage=units("7600000"),
    checksum=2**64 - 1,
)


def large_account(*, phases: int, rates: int = 5, grants: int = 3, shards: int = 12) -> Account:
    """A busy customer's account."""
    checkpoints = Checkpoints()
    for shard in range(shards):
        number = 4_900_000_000_058_840_256_200 + shard
        checkpoints = checkpoints.advanced(f"shardId-{shard:020d}", number, 1_800_000_000)
    return Account(
        customer="customer-0123456789",
        version=1_234_567,
        phases=tuple(
            Phase(
                number=number,
                period=number,
                start=MARCH + number * DAY,
                end=MARCH + number * DAY + timedelta(days=31),
                plan="professional",
                plan_version=12,
                totals=(LARGE,) * rates,
            )
            for number in range(21, 21 + phases)
        ),
        grants={"credits": {f"p21-c{n}": units("12345.678901234") for n in range(grants)}},
        validity={
            f"p21-c{n}": Validity(MARCH + timedelta(microseconds=1), APRIL) for n in range(grants)
        },
        checkpoints=checkpoints,
    )
