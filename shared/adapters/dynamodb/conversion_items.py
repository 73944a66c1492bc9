"""Conversions as items, in the order in which customers were asked."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.attributes import Item, from_item, to_item
from shared.domain.conversions import Conversion, PaymentMethod
from shared.domain.events import utc_time

CONVERSION_PREFIX = "CONVERSION#"


def conversion_item(conversion: Conversion) -> Item:
    """The stored conversion."""
    keys = {
        "pk": customer_partition(conversion.customer),
        "sk": f"{CONVERSION_PREFIX}{conversion.number:06d}",
    }
    return to_item({**keys, **asdict(conversion)})


def read_conversion(item: Mapping[str, Any]) -> Conversion:
    """The conversion of an item."""
    stored = from_item(item)
    method = stored.get("payment_method")
    return Conversion(
        customer=stored["customer"],
        number=int(stored["number"]),
        plan=stored["plan"],
        plan_version=int(stored["plan_version"]),
        to=stored["to"],
        phase=int(stored["phase"]),
        period=int(stored["period"]),
        cause=stored["cause"],
        account_version=int(stored["account_version"]),
        asked_at=utc_time(stored["asked_at"]),
        expires_at=utc_time(stored["expires_at"]),
        stored=stored["stored"],
        ended_at=utc_time(stored["ended_at"]) if "ended_at" in stored else None,
        payment_method=PaymentMethod(**method) if method else None,
    )
