"""What the environment says to a function."""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """The environment of a function. Names that a function does not use may be empty."""

    stage: str
    events_table: str
    billing_table: str
    grace_seconds: int
    secret_arn: str
    billing_queue_url: str
    test_clocks: bool
    settle_seconds: int = 48 * 3600
    reconciliation_queue_url: str = ""
    backfill_queue_url: str = ""
    archive_bucket: str = ""

    @staticmethod
    def from_environment() -> "Settings":
        """Read once, at the first request."""
        read = os.environ.get
        return Settings(
            stage=read("STAGE", "local"),
            events_table=read("EVENTS_TABLE", ""),
            billing_table=read("BILLING_TABLE", ""),
            grace_seconds=int(read("GRACE_SECONDS", "3600")),
            secret_arn=read("SECRET_ARN", ""),
            billing_queue_url=read("BILLING_QUEUE_URL", ""),
            test_clocks=read("TEST_CLOCKS", "0") == "1",
            settle_seconds=int(read("SETTLE_SECONDS", str(48 * 3600))),
            reconciliation_queue_url=read("RECONCILIATION_QUEUE_URL", ""),
            backfill_queue_url=read("BACKFILL_QUEUE_URL", ""),
            archive_bucket=read("ARCHIVE_BUCKET", ""),
        )
