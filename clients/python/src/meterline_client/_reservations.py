"""Reservations, once they are made."""

from collections.abc import Awaitable, Callable

from meterline_client import _calls
from meterline_client._calls import Amount, Call
from meterline_client.models import Nothing


class Reservation:
    """A part of a balance that is set aside until it is settled or released."""

    def __init__(self, ask: Callable[[Call[Nothing]], Nothing], customer: str, id: str) -> None:
        self._ask = ask
        self.customer = customer
        self.id = id
        self.open = True

    def settle(self, amount: Amount) -> None:
        """Draws what was really used, which may differ from what was reserved. Once."""
        self._ask(_calls.settle(self.customer, self.id, amount))
        self.open = False

    def release(self) -> None:
        """Frees all of it."""
        self._ask(_calls.release(self.customer, self.id))
        self.open = False


class AsyncReservation:
    """The same, of an AsyncClient."""

    def __init__(
        self, ask: Callable[[Call[Nothing]], Awaitable[Nothing]], customer: str, id: str
    ) -> None:
        self._ask = ask
        self.customer = customer
        self.id = id
        self.open = True

    async def settle(self, amount: Amount) -> None:
        """Draws what was really used, which may differ from what was reserved. Once."""
        await self._ask(_calls.settle(self.customer, self.id, amount))
        self.open = False

    async def release(self) -> None:
        """Frees all of it."""
        await self._ask(_calls.release(self.customer, self.id))
        self.open = False
