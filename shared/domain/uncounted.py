"""Why a meter that reads an event's type does not count the event."""

from typing import Literal

from shared.domain.catalogue import Catalogue, Meter
from shared.domain.events import UsageEvent, filter_takes, numeric

Unmeasured = Literal["filtered-out", "no-value"]
Uncounted = Literal[Unmeasured, "archived", "made-later"]


def unmeasured(event: UsageEvent, meter: Meter) -> Unmeasured | None:
    """Why the meter reads nothing from the event; None: it reads something.

    An event that its filter takes and that lacks the value, or has none that is a number where the
    meter needs one, is stored all the same.
    """
    if not filter_takes(event, meter):
        return "filtered-out"
    if meter.value is None:
        return None
    value = event.data.get(meter.value)
    any_text_will_do = meter.aggregation == "unique_count" and value is not None
    return None if any_text_will_do or numeric(value) is not None else "no-value"


def uncounted(event: UsageEvent, catalogue: Catalogue) -> dict[str, Uncounted]:
    """The meters of the event's type that do not count it as it comes, by key, and why.

    `made-later`: a backfill of the meter may have counted it.
    """
    found: dict[str, Uncounted] = {}
    for meter in catalogue.meters.values():
        if meter.event_type != event.type:
            continue
        if why := unmeasured(event, meter):
            found[meter.key] = why
        elif not meter.counts(event.catalogue_version):
            made_later = event.catalogue_version < meter.since
            found[meter.key] = "made-later" if made_later else "archived"
    return found
