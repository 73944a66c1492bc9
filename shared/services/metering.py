"""Reading what is stored of the usage that records add to, and where each of them belongs."""

from collections.abc import Iterable, Mapping, Sequence

from shared.domain.dimension_cap import RegisterKey, Registers, newcomers, register_key
from shared.domain.hour_writes import Metering, hours_touched, values_touched
from shared.domain.records import Record
from shared.domain.usage_hours import HourKey, UsageHour
from shared.services.changes import ExtendRegister
from shared.services.store import BillingStore


def metering_of(
    store: BillingStore,
    customer: str,
    records: Sequence[Record],
    hours: Mapping[HourKey, UsageHour],
) -> Metering:
    """Everything that the records add to. `hours` are those stored of what they may belong to.

    Groups that are new are registered here, before anything of theirs is written. Values are read
    after their hours: whoever took one out since has stepped its hour's checkpoints.

    Raises: VersionConflictError if another writer was faster.
    """
    own = hours_touched(records, Metering({}))
    known = Metering(hours, _registered(store, [h for h in own if h not in hours]))
    # Without a register of new groups, everything is in the hours that were read.
    touched = hours_touched(records, known) if known.registers else []
    others = [h for h in touched if h.other and h not in hours]
    if others:
        hours = {**hours, **store.footing(customer, others).hours}
    values = values_touched(records, known)
    return Metering(hours, known.registers, store.seen(values) if values else {})


def _registered(store: BillingStore, hours: Iterable[HourKey]) -> Registers:
    """The registers that decide about the hours, with those that there was room for."""
    asked: dict[RegisterKey, list[HourKey]] = {}
    for hour in hours:
        if hour.dimensions:
            asked.setdefault(register_key(hour), []).append(hour)
    registers = dict(store.registers(asked)) if asked else {}
    for key, mine in asked.items():
        read = registers.get(key, frozenset())
        added = newcomers(read, mine)
        if added:
            store.commit([ExtendRegister(key, read, added)])
            registers[key] = read | added
    return registers
