"""When a function stops, to leave time for ending what is under way."""

from collections.abc import Callable
from typing import Any


def deadline(context: Any, reserved_milliseconds: int) -> Callable[[], bool]:
    """Tells whether less than the reserved time is left of the invocation."""

    def out_of_time() -> bool:
        return bool(context.get_remaining_time_in_millis() < reserved_milliseconds)

    return out_of_time
