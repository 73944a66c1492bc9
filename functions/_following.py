"""What follows from usage, over the runtime's tables: rewards, and what others earn by it."""

from functions._runtime import Runtime
from shared.adapters.dynamodb.earned_shares import DynamoShareStore
from shared.adapters.dynamodb.rewards import DynamoRewardStore
from shared.services.earned_shares import EarnedShares
from shared.services.rewards import Rewards


def rewards_of(runtime: Runtime) -> Rewards:
    """The use cases of rewards."""
    table = runtime.settings.billing_table
    return Rewards(runtime.books, DynamoRewardStore(runtime.dynamodb, table))


def shares_of(runtime: Runtime) -> EarnedShares:
    """The use cases of earnings."""
    table = runtime.settings.billing_table
    return EarnedShares(runtime.books, DynamoShareStore(runtime.dynamodb, table))
