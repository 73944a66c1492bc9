"""What differs between the stages; everything else is the same wiring."""

from dataclasses import dataclass, replace

from aws_cdk import RemovalPolicy
from aws_cdk import aws_logs as logs


@dataclass(frozen=True)
class Stage:
    """Settings of one stage.

    `protected` turns on point-in-time recovery, deletion protection and retention of data.
    `rate_limit` is in requests per second, `grace_seconds` the time that late usage of an
    ended period is waited for before its invoice closes. `settle_seconds` is how long after its
    receipt reconciliation judges by an event: longer than a stream keeps its records.
    `archive_window_seconds` is how long events are gathered for one file of the archive.
    """

    name: str
    protected: bool
    test_clocks: bool
    log_retention: logs.RetentionDays
    rate_limit: int
    burst_limit: int
    grace_seconds: int = 3600
    settle_seconds: int = 48 * 3600
    archive_window_seconds: int = 300
    log_level: str = "INFO"

    @property
    def removal_policy(self) -> RemovalPolicy:
        return RemovalPolicy.RETAIN if self.protected else RemovalPolicy.DESTROY


STAGES = {
    "local": Stage(
        name="local",
        protected=False,
        test_clocks=True,
        log_retention=logs.RetentionDays.ONE_WEEK,
        rate_limit=10_000,
        burst_limit=5_000,
        settle_seconds=5,
        archive_window_seconds=2,
    ),
    "prod": Stage(
        name="prod",
        protected=True,
        test_clocks=False,
        log_retention=logs.RetentionDays.THREE_MONTHS,
        rate_limit=2_000,
        burst_limit=1_000,
    ),
}


def load_stage(name: str, test_clocks: str | None = None) -> Stage:
    """The stage called `name`; `test_clocks` ("0" or "1") overrides whether time can be moved.

    Raises ValueError for an unknown stage or value, and for test clocks where real money moves.
    """
    if name not in STAGES:
        raise ValueError(f"unknown stage {name!r}: choose one of {', '.join(STAGES)}")
    stage = STAGES[name]
    if test_clocks is None:
        return stage
    if stage.protected:
        raise ValueError(f"stage {name} has no test clocks: remove the test_clocks context value")
    if test_clocks not in ("0", "1"):
        raise ValueError(f"test_clocks must be 0 or 1, not {test_clocks!r}")
    return replace(stage, test_clocks=test_clocks == "1")
