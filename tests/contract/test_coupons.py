"""Coupons among a customer's terms, on the memory and on the real store."""

from dataclasses import replace
from decimal import Decimal

from shared.domain.coupons import AppliedCoupon, Coupon
from shared.domain.customers import Subscription
from shared.services.changes import SaveSubscription
from tests.contract.conftest import Engine
from tests.support.builders import APRIL, MARCH

SHARE = Coupon(
    "share", 3, "A share", percentage=Decimal("12.5"), duration="periods", periods=3, plans=("pro",)
)
AMOUNT = Coupon("amount", 1, "An amount", amount_nanos=10**10, currency="USD", redeem_by=APRIL)


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
