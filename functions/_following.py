"""What follows from usage, over the runtime's tables: rewards, earnings, copies that are old."""

from functions._runtime import Runtime
from shared.adapters.dynamodb.earned_shares import DynamoShareStore
from shared.adapters.dynamodb.rewards import DynamoRewardStore
from shared.adapters.dynamodb.usage_days import DynamoUsageDays
from shared.services.earned_shares import EarnedShares
from shared.services.rewards import Rewards
from shared.services.usage_days import UsageDayStore


def rewards_of(runtime: Runtime) -> Rewards:
    """The use cases of rewards."""
    table = runtime.settings.billing_table
    return Rewards(runtime.books, DynamoRewardStore(runtime.dynamodb, table))


def shares_of(runtime: Runtime) -> EarnedShares:
    """The use cases of earnings."""
    table = runtime.settings.billing_table
    return EarnedShares(runtime.books, DynamoShareStore(runtime.dynamodb, table))


def usage_days_of(runtime: Runtime) -> UsageDayStore:
    """The copies of usage days."""
    return DynamoUsageDays(runtime.dynamodb, runtime.settings.billing_table)
