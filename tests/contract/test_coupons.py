"""Coupons among a customer's terms, on the memory and on the real store."""

from dataclasses import replace
from decimal import Decimal

import pytest

from shared.domain.coupons import AppliedCoupon, Coupon
from shared.domain.customers import Subscription
from shared.domain.errors import VersionConflictError
from shared.services.changes import CountRedemption, SaveSubscription
from tests.contract.conftest import Engine
from tests.support.builders import APRIL, MARCH

SHARE = Coupon(
    "share", 3, "A share", percentage=Decimal("12.5"), duration="periods", periods=3, plans=("pro",)
)
AMOUNT = Coupon(
    "amount",
    1,
    "An amount",
    amount_nanos=10**10,
    currency="USD",
    redeem_by=APRIL,
    max_redemptions=9,
)


def test_terms_keep_their_coupons_and_forget_them(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    coupons = (
        AppliedCoupon("cp_1", SHARE, MARCH, 2, started=True, ended_from=4),
        AppliedCoupon("cp_2", AMOUNT, MARCH, 1, taken={0: 5, 3: 7}),
    )
    terms = Subscription(customer, "pro", 1, MARCH, "UTC", APRIL, coupons=coupons)
    store.commit([SaveSubscription(terms, new=True)])
    stored = store.subscription(customer)
    assert stored is not None
    assert stored.coupons == coupons
    store.commit([SaveSubscription(replace(stored, coupons=()))])
    assert store.subscription(customer) == replace(terms, coupons=(), version=2)


def test_redemptions_are_counted_up_to_the_limit_together_with_what_they_are_of(
    engine: Engine,
) -> None:
    store, customer = engine.billing, engine.customer()
    limited, free = f"limited-{customer}", f"free-{customer}"
    terms = Subscription(customer, "pro", 1, MARCH, "UTC", APRIL)
    store.commit([SaveSubscription(terms, new=True), CountRedemption(limited, 2)])
    store.commit([CountRedemption(limited, 2)])
    saved = SaveSubscription(replace(terms, version=1))
    for changes in ([CountRedemption(limited, 2)], [CountRedemption(limited, 2), saved]):
        with pytest.raises(VersionConflictError):
            store.commit(changes)
    assert store.subscription(customer) == replace(terms, version=1)
    store.commit([CountRedemption(limited, 3)])
    store.commit([CountRedemption(free, None), saved])
    assert store.redemptions([limited, free, "never"]) == {limited: 3, free: 1}
    assert store.redemptions([]) == {}
