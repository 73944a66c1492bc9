"""What may be published of coupons, and what that changes."""

from collections.abc import Iterator
from dataclasses import replace

from shared.domain.catalogue import Catalogue
from shared.domain.coupons import Coupon
from shared.domain.errors import InvalidError, Problem
from shared.domain.publishing import Publication


def publish_coupon(catalogue: Catalogue, coupon: Coupon) -> Publication | None:
    """Adds the coupon's next version; None: its newest version says the same.

    Coupons that customers have stay as they were applied.
    Raises: InvalidError with pointers into the coupon.
    """
    versions = catalogue.coupons.get(coupon.key)
    newest = versions[-1] if versions else None
    if newest is not None and replace(coupon, version=newest.version) == newest:
        return None
    problems = tuple(_problems(catalogue, coupon))
    if problems:
        raise InvalidError("The coupon does not fit the catalogue.", problems)
    version = newest.version + 1 if newest else 1
    return Publication("coupon.publish", newest, replace(coupon, version=version))


def _problems(catalogue: Catalogue, coupon: Coupon) -> Iterator[Problem]:
    for index, key in enumerate(coupon.plans):
        versions = catalogue.plans.get(key)
        if not versions:
            yield Problem(f"/plans/{index}", "unknown-plan")
        elif coupon.currency not in (None, versions[-1].currency):
            yield Problem(f"/plans/{index}", "other-currency")
