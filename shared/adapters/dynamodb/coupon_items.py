"""Coupons as stored: in the catalogue, among a customer's terms, and how often they were given."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.adapters.dynamodb.attributes import Item, from_item, to_item
from shared.domain.coupons import AppliedCoupon, Coupon
from shared.domain.events import utc_time
from shared.services.changes import CountRedemption

COUPON_PARTITION = "COUPON#"


def read_coupon(body: Mapping[str, Any]) -> Coupon:
    """The coupon of its plain values."""
    redeem_by, periods = body.get("redeem_by"), body.get("periods")
    most = body.get("max_redemptions")
    return Coupon(
        key=body["key"],
        version=int(body["version"]),
        name=body["name"],
        percentage=body.get("percentage"),
        amount_nanos=int(body["amount_nanos"]),
        currency=body.get("currency"),
        duration=body["duration"],
        periods=None if periods is None else int(periods),
        plans=tuple(body["plans"]),
        redeem_by=utc_time(redeem_by) if redeem_by else None,
        max_redemptions=None if most is None else int(most),
        archived=body["archived"],
    )


def applied_coupon_values(applied: AppliedCoupon) -> dict[str, object]:
    """An applied coupon as plain values, without what is as it mostly is."""
    values = asdict(applied)
    values["coupon"] = {k: v for k, v in values["coupon"].items() if v is not None}
    return {name: value for name, value in values.items() if value not in (None, {})}


def read_applied_coupon(values: Mapping[str, Any]) -> AppliedCoupon:
    """The applied coupon of its plain values."""
    ended_from = values.get("ended_from")
    return AppliedCoupon(
        id=values["id"],
        coupon=read_coupon(values["coupon"]),
        applied_at=utc_time(values["applied_at"]),
        first=int(values["first"]),
        started=values["started"],
        ended_from=None if ended_from is None else int(ended_from),
        taken={int(period): int(nanos) for period, nanos in values.get("taken", {}).items()},
    )


def redemption_keys(coupon: str) -> dict[str, str]:
    """Where it is counted how often the coupon was given, over all its versions."""
    return {"pk": f"{COUPON_PARTITION}{coupon}", "sk": "REDEMPTIONS"}


def redemption_write(table: str, change: CountRedemption) -> dict[str, Any]:
    """Adds one under the limit: whoever comes at once waits for no version, only for room."""
    write: dict[str, Any] = {
        "TableName": table,
        "Key": to_item(redemption_keys(change.coupon)),
        "UpdateExpression": "ADD redemptions :one",
        "ExpressionAttributeValues": to_item({":one": 1}),
    }
    if change.most is not None:
        room = "attribute_not_exists(redemptions) OR redemptions < :most"
        write["ConditionExpression"] = room
        write["ExpressionAttributeValues"] |= to_item({":most": change.most})
    return {"Update": write}


def read_redemptions(item: Item) -> tuple[str, int]:
    """The coupon's key, and how often it was given."""
    stored = from_item(item)
    return stored["pk"].removeprefix(COUPON_PARTITION), int(stored["redemptions"])
