"""The machine's clock."""

from datetime import UTC, datetime


class MachineClock:
    """Implements the port `Clock`."""

    def now(self) -> datetime:
        """The current instant, UTC."""
        return datetime.now(UTC)
