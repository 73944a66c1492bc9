"""Giving customers coupons, and ending them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

from shared.domain.coupons import MAX_ACTIVE, AppliedCoupon, Coupon
from shared.domain.discounts import first_period
from shared.domain.errors import ConflictError, InvalidError, NotFoundError, Problem
from shared.domain.events import canonical_json
from shared.services.changes import Change, CountRedemption, PutAudit, SaveSubscription
from shared.services.idempotency import Decision, MoneyWrite, commit_once
from shared.services.standing import Books, Standing
from shared.services.store import StoredAnswer

# Ended ones stay for a while: late usage of their periods is still discounted.
MAX_ENDED = 8


class CouponNotApplicableError(ConflictError):
    """The coupon cannot be applied to the customer, or no more (409)."""

    code = "coupon-not-applicable"


class CouponUsedUpError(ConflictError):
    """The coupon was given as often as it may be (409)."""

    code = "coupon-used-up"


@dataclass(frozen=True, slots=True)
class HeldCoupon:
    """A coupon that a customer has, and the billing period that it is looked at in."""

    applied: AppliedCoupon
    period: int


Render = Callable[[HeldCoupon], str]


def apply_coupon(books: Books, write: MoneyWrite, key: str, render: Render) -> StoredAnswer:
    """Gives the customer the newest version of a coupon; `render` makes the answer.

    Raises: NotFoundError, InvalidError, CouponNotApplicableError, CouponUsedUpError,
    UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        coupon, period = _wanted(before, key), before.account.current.period
        identity = canonical_json([write.customer, write.key])
        applied = AppliedCoupon(
            id="cp_" + hashlib.sha256(identity.encode()).hexdigest()[:24],
            coupon=coupon,
            applied_at=before.now,
            first=first_period(before.account, before.catalogue),
        )
        held = before.subscription.coupons
        ended = [each.id for each in held if each.state(period) == "ended"]
        kept = (each for each in held if each.id not in ended[: -MAX_ENDED or None])
        changes = _changes(
            books, write, before, (*kept, applied), action="coupon.apply", applied=applied
        )
        changes.append(_counted(books, coupon))
        return Decision(changes, render(HeldCoupon(applied, period)), 201)

    return commit_once(books.store, write, decide)


def end_coupon(books: Books, write: MoneyWrite, coupon_id: str, render: Render) -> StoredAnswer:
    """Ends a customer's coupon for the billing periods to come; again, it changes nothing.

    Raises: NotFoundError, UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        held, period = before.subscription.coupons, before.account.current.period
        applied = next((each for each in held if each.id == coupon_id), None)
        if applied is None:
            raise NotFoundError("No such coupon.")
        if applied.ended_from is not None or applied.state(period) == "ended":
            return Decision([], render(HeldCoupon(applied, period)))
        ended = replace(applied, ended_from=period + 1)
        coupons = [ended if each.id == coupon_id else each for each in held]
        changes = _changes(books, write, before, coupons, action="coupon.end", applied=ended)
        return Decision(changes, render(HeldCoupon(ended, period)))

    return commit_once(books.store, write, decide)


def list_coupons(books: Books, key: str) -> Sequence[HeldCoupon]:
    """The customer's coupons in the order in which they were given, ended ones for a while.

    Raises: NotFoundError, UnavailableError.
    """
    standing = books.standing(key).caught_up()
    period = standing.account.current.period
    return [HeldCoupon(applied, period) for applied in standing.subscription.coupons]


def _wanted(standing: Standing, key: str) -> Coupon:
    versions = standing.catalogue.coupons.get(key)
    if not versions:
        raise InvalidError("No such coupon.", [Problem("/coupon", "unknown-coupon")])
    coupon = versions[-1]
    if coupon.archived or (coupon.redeem_by is not None and coupon.redeem_by <= standing.now):
        raise CouponNotApplicableError("The coupon is given to nobody any more.")
    billed = standing.subscription.currency
    if billed is not None and coupon.currency not in (None, billed):
        raise CouponNotApplicableError("The coupon is of another currency.")
    period = standing.account.current.period
    held = standing.subscription.coupons
    active = [each for each in held if each.state(period) == "active"]
    if any(each.coupon.key == key for each in active):
        raise CouponNotApplicableError("The customer has the coupon already.")
    if len(active) >= MAX_ACTIVE:
        raise CouponNotApplicableError(f"The customer has {MAX_ACTIVE} coupons already.")
    return coupon


def _counted(books: Books, coupon: Coupon) -> CountRedemption:
    """One redemption more; ending the coupon does not give it back.

    Raises: CouponUsedUpError.
    """
    most = coupon.max_redemptions
    given = books.store.redemptions([coupon.key]) if most is not None else {}
    if most is not None and given.get(coupon.key, 0) >= most:
        times = "once" if most == 1 else f"{most} times"
        raise CouponUsedUpError(f"The coupon may be given {times}, and was.")
    return CountRedemption(coupon.key, most)


def _changes(
    books: Books,
    write: MoneyWrite,
    before: Standing,
    coupons: Sequence[AppliedCoupon],
    *,
    action: str,
    applied: AppliedCoupon,
) -> list[Change]:
    terms = replace(before.subscription, coupons=tuple(coupons))
    audit = PutAudit(
        at=books.clock.now(),
        actor=write.actor,
        action=action,
        subject=write.customer,
        after=asdict(applied),
    )
    return [SaveSubscription(terms), audit]
