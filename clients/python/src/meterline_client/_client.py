"""The synchronous client: events leave through a thread of its own."""

import atexit
import functools
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from meterline_client import _calls
from meterline_client._calls import Amount, Call
from meterline_client._core import Core, Counters, Failure, OnFailure, Options, where
from meterline_client._delivery import deliver
from meterline_client._event import Data, encode_event, uuid7
from meterline_client._exchange import Answer, Pause, Request, Steps
from meterline_client._http import answer, arguments, failure, settings
from meterline_client._queue import Entry
from meterline_client._reservations import Reservation
from meterline_client.errors import ClosedError, UnreachableError

T = TypeVar("T")
P = ParamSpec("P")


def _method(call: Callable[P, Call[T]]) -> Callable[Concatenate["Client", P], T]:
    """The method that makes this call."""

    @functools.wraps(call)
    def ask(self: "Client", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self.call(call(*args, **kwargs))

    return ask


class Client:
    """Meters usage and asks Meterline about it. Safe to share between threads.

    `source` names what sends the events; with it, an event's id is its identity for ever. Close
    the client, or use it in a `with` statement; the end of the program closes it too.
    `on_failure` is told of each event that will not be stored; without it, the log is.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        source: str,
        options: Options | None = None,
        on_failure: OnFailure | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """The address and the key are else those of METERLINE_URL and METERLINE_API_KEY.

        Raises: ValueError where neither says it, SpoolError.
        """
        self._options = options or Options()
        self._source = source
        self._where = where(url, api_key)
        self._transport = transport
        self._http = self._connect()
        self._core = Core(self._options, on_failure)
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._worker: threading.Thread | None = None
        self._flushing = 0
        self._closed = False
        _CLIENTS.add(self)
        atexit.register(self.close)
        if len(self._core.queue):
            self._start()

    usage = _method(_calls.usage)
    balance = _method(_calls.balance)
    upcoming_invoice = _method(_calls.upcoming_invoice)
    customer = _method(_calls.customer)
    save_customer = _method(_calls.save_customer)
    subscription = _method(_calls.subscription)
    change_plan = _method(_calls.change_plan)
    cancel_plan = _method(_calls.cancel_plan)
    entitlement = _method(_calls.entitlement)

    def meter(
        self,
        type: str,
        customer: str,
        data: Data | None = None,
        *,
        id: str | None = None,
        time: datetime | None = None,
    ) -> str:
        """Puts a usage event on its way and returns its id; sent later, it happened now.

        Raises: TypeError, ValueError for what cannot be an event; EventTooLargeError;
        BufferFullError by the chosen policy; SpoolError; ClosedError.
        """
        event_id = uuid7() if id is None else id
        payload = encode_event(
            id=event_id, source=self._source, type=type, customer=customer, data=data, at=time
        )
        core = self._core
        core.check_size(payload)
        failures: list[Failure] = []
        with self._changed:
            admitted = not self._closed and core.queue.has_room(payload)
            if not admitted:
                admitted, failures = self._make_room(payload)
            if admitted and core.add(payload):
                self._start()
                self._changed.notify_all()
        if failures:
            core.tell(failures)
        return event_id

    def entitled(self, customer: str, feature: str, *, default: bool | None = None) -> bool:
        """Whether a customer may use a feature or meter.

        With a `default`, that is the answer when the API cannot be reached.
        Raises: ApiError, UnreachableError.
        """
        try:
            return self.entitlement(customer, feature).allowed
        except UnreachableError:
            if default is None:
                raise
            return default

    @contextmanager
    def reserve(
        self,
        customer: str,
        unit: str,
        amount: Amount,
        *,
        meter: str | None = None,
        ttl_seconds: int = 300,
    ) -> Iterator[Reservation]:
        """Sets part of a balance aside for the block; what the block does not settle is released.

        Raises: InsufficientBalanceError when the available balance does not cover it.
        """
        held = self.call(_calls.reserve(customer, unit, amount, meter, ttl_seconds))
        reservation = Reservation(self.call, customer, held.id)
        try:
            yield reservation
        finally:
            if reservation.open:
                reservation.release()

    def counters(self) -> Counters:
        """What became of the events so far."""
        with self._changed:
            return self._core.counters()

    def flush(self, timeout_seconds: float | None = None) -> bool:
        """Sends what was metered until now without waiting for full batches.

        Whether all of it was decided in time.
        """
        with self._changed:
            target = self._core.added
            self._flushing += 1
            self._changed.notify_all()
            try:
                return self._changed.wait_for(lambda: self._core.decided >= target, timeout_seconds)
            finally:
                self._flushing -= 1

    def close(self) -> None:
        """Sends what waits, for at most `close_seconds`, and gives up the rest; again: nothing.

        What is given up is a failure each, or stays in the spool.
        """
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        atexit.unregister(self.close)
        try:
            if self._worker and self._worker is not threading.current_thread():
                self._worker.join(self._options.close_seconds)
        finally:
            # Also where the wait is interrupted: nothing is given up without a word.
            with self._changed:
                failures = self._core.abandon(UnreachableError("closed before it was sent"))
                self._stopped.set()
                self._changed.notify_all()
            self._core.tell(failures)
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def call(self, call: Call[T]) -> T:
        """Makes a call and waits for its answer."""
        return self._drive(call.steps(self._options.call_retry), time.sleep)

    def _connect(self) -> httpx.Client:
        options: Any = settings(*self._where, self._options.timeout_seconds)
        return httpx.Client(**options, transport=self._transport)

    def _start(self) -> None:
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._run, name="meterline", daemon=True)
            self._worker.start()

    def _make_room(self, payload: bytes) -> tuple[bool, list[Failure]]:
        """Waits, where that is the policy, then does what the policy says."""
        buffer, queue = self._options.buffer, self._core.queue
        if buffer.when_full == "block":
            self._changed.wait_for(
                lambda: self._closed or queue.has_room(payload), buffer.block_seconds
            )
        if self._closed:
            raise ClosedError("the client is closed")
        return (True, []) if queue.has_room(payload) else self._core.make_room(payload)

    def _run(self) -> None:
        """The worker: batch after batch until the client is closed and nothing waits."""
        while batch := self._next_batch():
            work = [batch]
            while work:
                try:
                    verdict = self._drive(deliver(work.pop(), self._core.retry), self._pause)
                except ClosedError:
                    return
                work += reversed([list(again) for again in verdict.again])
                with self._changed:
                    failures = self._core.apply(verdict)
                    self._changed.notify_all()
                self._core.tell(failures)

    def _next_batch(self) -> list[Entry]:
        """The next batch when it is due; none once the client is closed and nothing waits."""
        with self._changed:
            while not self._stopped.is_set():
                due_in = self._core.queue.due_in(time.monotonic())
                hurry = self._flushing or self._closed
                if due_in == 0 or (due_in is not None and hurry):
                    batch = self._core.queue.take()
                    # Those who wait for room go on.
                    self._changed.notify_all()
                    return batch
                if due_in is None and self._closed:
                    break
                self._changed.wait(due_in)
            return []

    def _drive(self, steps: Steps[T], pause: Callable[[float], object]) -> T:
        found: Answer | None = None
        requests = 0
        while True:
            try:
                step = steps.send(found)
            except StopIteration as done:
                with self._changed:
                    self._core.retried += requests - 1
                result: T = done.value
                return result
            found = None
            if isinstance(step, Pause):
                pause(step.seconds)
            else:
                found = self._send(step)
                requests += 1

    def _send(self, request: Request) -> Answer:
        try:
            options: Any = arguments(request)
            return answer(self._http.request(**options))
        except Exception as error:  # noqa: BLE001
            # Also those of a transport of the user's own: no events wait for ever behind a bug.
            return failure(error)

    def _pause(self, seconds: float) -> None:
        if self._stopped.wait(seconds):
            raise ClosedError("closed while it waited to try again")

    def _after_fork(self) -> None:
        """In a child: the events, the thread and the connections are the parent's."""
        self._core = self._core.fresh()
        self._changed = threading.Condition()
        self._stopped = threading.Event()
        self._worker = None
        self._flushing = 0
        self._http = self._connect()


_CLIENTS: weakref.WeakSet[Client] = weakref.WeakSet()


def _after_fork() -> None:
    for client in list(_CLIENTS):
        client._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
