"""HTTP: test clocks. Deployed only where the stage allows them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from functions._deadline import deadline
from functions._following import shares_of
from functions._http import Answer, Request, Router
from functions._runtime import runtime
from functions.settle_earnings import report
from shared.services.earned_shares import EarnedShares
from shared.services.rate_limiting import RateLimiter
from shared.services.test_clocks import TestClock, TestClocks
from shared.wire.test_clocks import TestClockAdvance, TestClockCreation, TestClockView

# What an advance keeps for its last drain, before the function's own time limit.
RESERVED_MILLISECONDS = 45_000

router = Router()


@dataclass(frozen=True, slots=True)
class Invocation:
    """What one call works with: the services, and how to know that its time is running out."""

    clocks: TestClocks
    shares: EarnedShares
    rate_limiter: RateLimiter
    out_of_time: Callable[[], bool]


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Serves one request."""
    out_of_time = deadline(context, RESERVED_MILLISECONDS)
    return router.serve(event, lambda: _invocation(out_of_time))


def _invocation(out_of_time: Callable[[], bool]) -> Invocation:
    shares = shares_of(runtime())
    return Invocation(runtime().test_clocks, shares, runtime().rate_limiter, out_of_time)


def _view(clock: TestClock) -> TestClockView:
    return TestClockView(id=clock.id, now=clock.now)


@router.route(
    "POST",
    "/v1/test-clocks",
    scope="admin",
    summary="Make a test clock",
    body=TestClockCreation,
    answer=TestClockView,
    status=201,
)
def create(request: Request, invocation: Invocation, body: TestClockCreation) -> TestClockView:
    return _view(invocation.clocks.create(body.now))


@router.route(
    "GET", "/v1/test-clocks/{clock}", scope="read", summary="Read a clock", answer=TestClockView
)
def read(request: Request, invocation: Invocation) -> TestClockView:
    return _view(invocation.clocks.get(request.parameters["clock"]))


@router.route(
    "POST",
    "/v1/test-clocks/{clock}/advance",
    scope="admin",
    summary="Advance a clock, running all that falls due for its customers, earnings too",
    body=TestClockAdvance,
    answer=TestClockView,
)
def advance(request: Request, invocation: Invocation, body: TestClockAdvance) -> TestClockView:
    clock, clocks = request.parameters["clock"], invocation.clocks
    since = clocks.get(clock).now
    advanced = clocks.advance(clock, body.to, invocation.out_of_time)
    report(invocation.shares.settle_clock(clock, since, invocation.out_of_time))
    return _view(advanced)


@router.route(
    "DELETE",
    "/v1/test-clocks/{clock}",
    scope="admin",
    summary="Remove a clock with its customers",
    status=204,
)
def delete(request: Request, invocation: Invocation) -> Answer:
    invocation.clocks.delete(request.parameters["clock"])
    return Answer(status=204)
