"""Requests and answers about test clocks."""

from shared.wire.common import Time, WireModel


class TestClockCreation(WireModel):
    """Makes a clock that stands at `now`, past or future."""

    __test__ = False

    now: Time


class TestClockAdvance(WireModel):
    """Moves a clock forward to `to`."""

    __test__ = False

    to: Time


class TestClockView(WireModel):
    """A clock and where it stands."""

    __test__ = False

    id: str
    now: Time
