"""The machine's clock."""

from datetime import UTC, datetime


class MachineClock:
    """See Clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)
