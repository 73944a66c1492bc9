"""The cap of dimension values: so many groups a customer's meter has in an hour, and no more.

The first groups of an hour are registered before anything of theirs is written. Once the register
is full it never changes, so a group that is not in it goes to the hour's `other` for ever, however
often and in whatever cut its records are delivered.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from shared.domain.events import canonical_json
from shared.domain.usage_hours import HourKey

# 8 bytes each: a full register is an item of 8 KB, written once for each group that is new.
MAX_GROUPS = 1000
GROUP_BYTES = 8


class RegisterKey(NamedTuple):
    """Which register: one for each customer, meter and UTC hour."""

    customer: str
    meter: str
    hour: datetime


# Hashes of the groups that have usage hours of their own.
Registers = Mapping[RegisterKey, frozenset[bytes]]


def register_key(hour: HourKey) -> RegisterKey:
    """The register that decides about the usage hour."""
    return RegisterKey(hour.customer, hour.meter, hour.hour)


def placed(hour: HourKey, registers: Registers) -> HourKey:
    """The usage hour that takes the usage: its group's own, or the one over the cap."""
    if not hour.dimensions or not registers:
        return hour
    register = registers.get(register_key(hour), frozenset())
    if len(register) < MAX_GROUPS or _group(hour.dimensions) in register:
        return hour
    return hour._replace(dimensions=(), other=True)


def newcomers(register: frozenset[bytes], hours: Iterable[HourKey]) -> frozenset[bytes]:
    """Those of the hours' groups that are to be registered, as far as there is room."""
    new = dict.fromkeys(
        group for group in (_group(h.dimensions) for h in hours) if group not in register
    )
    return frozenset(list(new)[: MAX_GROUPS - len(register)])


@lru_cache(maxsize=4096)
def _group(dimensions: tuple[tuple[str, str], ...]) -> bytes:
    names = canonical_json(dimensions)
    return hashlib.sha256(names.encode()).digest()[:GROUP_BYTES]
