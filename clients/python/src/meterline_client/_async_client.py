"""The asynchronous client: events leave through a task of the running loop."""

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from meterline_client import _calls
from meterline_client._calls import Amount, Call
from meterline_client._core import Core, Counters, OnFailure, Options, where
from meterline_client._delivery import deliver
from meterline_client._event import Data, encode_event, uuid7
from meterline_client._exchange import Answer, Pause, Request, Steps
from meterline_client._http import answer, arguments, failure, settings
from meterline_client._queue import Entry
from meterline_client._reservations import AsyncReservation
from meterline_client.errors import ClosedError, UnreachableError

T = TypeVar("T")
P = ParamSpec("P")


def _method(
    call: Callable[P, Call[T]],
) -> Callable[Concatenate["AsyncClient", P], Awaitable[T]]:
    """The method that makes this call."""

    @functools.wraps(call)
    async def ask(self: "AsyncClient", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self.call(call(*args, **kwargs))

    return ask


class AsyncClient:
    """`Client` for one event loop: the same options, policies, counters and promises.

    Use it in an `async with` statement, or await `close()`: the end of the program does not wait
    for it. Appending to a spool is done in the loop; with `fsync="always"` that blocks it.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        source: str,
        options: Options | None = None,
        on_failure: OnFailure | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """The address and the key are else those of METERLINE_URL and METERLINE_API_KEY.

        Raises: ValueError where neither says it, SpoolError.
        """
        self._options = options or Options()
        self._source = source
        connection: Any = settings(*where(url, api_key), self._options.timeout_seconds)
        self._http = httpx.AsyncClient(**connection, transport=transport)
        self._core = Core(self._options, on_failure)
        self._wake = asyncio.Event()
        self._progress = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._flushing = 0
        self._closed = False

    usage = _method(_calls.usage)
    balance = _method(_calls.balance)
    upcoming_invoice = _method(_calls.upcoming_invoice)
    customer = _method(_calls.customer)
    save_customer = _method(_calls.save_customer)
    subscription = _method(_calls.subscription)
    change_plan = _method(_calls.change_plan)
    cancel_plan = _method(_calls.cancel_plan)
    entitlement = _method(_calls.entitlement)

    async def meter(
        self,
        type: str,
        customer: str,
        data: Data | None = None,
        *,
        id: str | None = None,
        time: datetime | None = None,
    ) -> str:
        """Puts a usage event on its way and returns its id. Raises what `Client.meter` does."""
        event_id = uuid7() if id is None else id
        payload = encode_event(
            id=event_id, source=self._source, type=type, customer=customer, data=data, at=time
        )
        core = self._core
        core.check_size(payload)
        if not core.queue.has_room(payload):
            await self._wait_for_room(payload)
        if self._closed:
            raise ClosedError("the client is closed")
        admitted = True
        if not core.queue.has_room(payload):
            admitted, failures = core.make_room(payload)
            core.tell(failures)
        if admitted and core.add(payload):
            self._start()
        return event_id

    async def entitled(self, customer: str, feature: str, *, default: bool | None = None) -> bool:
        """Whether a customer may use a feature or meter.

        With a `default`, that is the answer when the API cannot be reached.
        Raises: ApiError, UnreachableError.
        """
        try:
            return (await self.entitlement(customer, feature)).allowed
        except UnreachableError:
            if default is None:
                raise
            return default

    @asynccontextmanager
    async def reserve(
        self,
        customer: str,
        unit: str,
        amount: Amount,
        *,
        meter: str | None = None,
        ttl_seconds: int = 300,
    ) -> AsyncIterator[AsyncReservation]:
        """Sets part of a balance aside for the block; what the block does not settle is released.

        Raises: InsufficientBalanceError when the available balance does not cover it.
        """
        held = await self.call(_calls.reserve(customer, unit, amount, meter, ttl_seconds))
        reservation = AsyncReservation(self.call, customer, held.id)
        try:
            yield reservation
        finally:
            if reservation.open:
                await reservation.release()

    def counters(self) -> Counters:
        """What became of the events so far."""
        return self._core.counters()

    async def flush(self, timeout_seconds: float | None = None) -> bool:
        """Sends what was metered until now without waiting for full batches.

        Whether all of it was decided in time.
        """
        target = self._core.added
        self._flushing += 1
        self._start()
        try:
            return await self._until(lambda: self._core.decided >= target, timeout_seconds)
        finally:
            self._flushing -= 1

    async def close(self) -> None:
        """Sends what waits, for at most `close_seconds`, and gives up the rest; again: nothing.

        What is given up is a failure each, or stays in the spool.
        """
        if self._closed:
            return
        self._closed = True
        if len(self._core.queue):
            self._start()
        try:
            if self._worker:
                self._wake.set()
                await asyncio.wait({self._worker}, timeout=self._options.close_seconds)
        finally:
            # Also where the wait is cancelled: nothing is given up without a word.
            if self._worker:
                self._worker.cancel()
            failures = self._core.abandon(UnreachableError("closed before it was sent"))
            self._pulse()
            self._core.tell(failures)
            await self._http.aclose()

    def __del__(self) -> None:
        """Nothing can be sent any more; what was never sent is at least told."""
        if hasattr(self, "_closed") and not self._closed:
            self._core.tell(self._core.abandon(UnreachableError("the client was never closed")))

    async def __aenter__(self) -> Self:
        if len(self._core.queue):
            self._start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def call(self, call: Call[T]) -> T:
        """Makes a call and waits for its answer."""
        return await self._drive(call.steps(self._options.call_retry))

    def _start(self) -> None:
        # A program that ends may have cancelled every task before it closes the client.
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._run(), name="meterline")
        self._wake.set()

    async def _wait_for_room(self, payload: bytes) -> None:
        buffer = self._options.buffer
        if buffer.when_full == "block":
            await self._until(
                lambda: self._closed or self._core.queue.has_room(payload), buffer.block_seconds
            )

    async def _until(self, holds: Callable[[], bool], timeout_seconds: float | None) -> bool:
        """Waits until it holds, looking whenever something went on; whether it did in time."""
        try:
            async with asyncio.timeout(timeout_seconds):
                while not holds():
                    await self._progress.wait()
        except TimeoutError:
            return holds()
        return True

    def _pulse(self) -> None:
        """Lets everyone who waits look again."""
        waited_for, self._progress = self._progress, asyncio.Event()
        waited_for.set()

    async def _run(self) -> None:
        """The worker: batch after batch until the client is closed and nothing waits."""
        while batch := await self._next_batch():
            work = [batch]
            while work:
                verdict = await self._drive(deliver(work.pop(), self._core.retry))
                work += reversed([list(again) for again in verdict.again])
                failures = self._core.apply(verdict)
                self._pulse()
                self._core.tell(failures)

    async def _next_batch(self) -> list[Entry]:
        """The next batch when it is due; none once the client is closed and nothing waits."""
        while True:
            due_in = self._core.queue.due_in(time.monotonic())
            if due_in == 0 or (due_in is not None and (self._flushing or self._closed)):
                batch = self._core.queue.take()
                self._pulse()
                return batch
            if due_in is None and self._closed:
                return []
            self._wake.clear()
            try:
                async with asyncio.timeout(due_in):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def _drive(self, steps: Steps[T]) -> T:
        found: Answer | None = None
        requests = 0
        while True:
            try:
                step = steps.send(found)
            except StopIteration as done:
                self._core.retried += requests - 1
                result: T = done.value
                return result
            found = None
            if isinstance(step, Pause):
                await asyncio.sleep(step.seconds)
            else:
                found = await self._send(step)
                requests += 1

    async def _send(self, request: Request) -> Answer:
        try:
            options: Any = arguments(request)
            return answer(await self._http.request(**options))
        except Exception as error:  # noqa: BLE001
            # Also those of a transport of the user's own: no events wait for ever behind a bug.
            return failure(error)
