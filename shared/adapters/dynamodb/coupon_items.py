"""Coupons as stored: in the catalogue, and among a customer's terms once they are applied."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from shared.domain.coupons import AppliedCoupon, Coupon
from shared.domain.events import utc_time


def read_coupon(body: Mapping[str, Any]) -> Coupon:
    """The coupon of its plain values."""
    redeem_by, periods = body.get("redeem_by"), body.get("periods")
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
