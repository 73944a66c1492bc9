"""Coupons: in the catalogue, and those that customers have."""

from functions._http import Answer, Request, Router
from functions._preconditions import require_match
from functions._runtime import Runtime
from functions._validation import validate
from functions.routes._common import money_write, page_by_key
from shared.domain.catalogue import Catalogue
from shared.domain.errors import NotFoundError
from shared.services.couponing import HeldCoupon, apply_coupon, end_coupon, list_coupons
from shared.wire.common import Page, PageQuery, Slug
from shared.wire.coupons import AppliedCouponView, ApplyCouponBody, CouponAnswer, CouponBody

router = Router()


@router.route(
    "PUT",
    "/v1/coupons/{coupon}",
    scope="admin",
    summary="Publish a coupon's next version",
    body=CouponBody,
    answer=CouponAnswer,
    tagged=True,
)
def put_coupon(request: Request, runtime: Runtime, body: CouponBody) -> CouponAnswer:
    coupon = body.to_coupon(validate(Slug, request.parameters["coupon"]))
    service = runtime.catalogue_service.provided(
        lambda catalogue: require_match(request.headers, _newest(catalogue, coupon.key))
    )
    stored = service.put_coupon(coupon, request.principal, runtime.clock.now())
    return CouponAnswer.of(stored, _redemptions(runtime, stored.key))


@router.route(
    "GET",
    "/v1/coupons/{coupon}",
    scope="read",
    summary="The newest version of a coupon",
    answer=CouponAnswer,
    tagged=True,
)
def read_coupon(request: Request, runtime: Runtime) -> CouponAnswer:
    newest = _newest(runtime.catalogue_service.catalogue(), request.parameters["coupon"])
    if newest is None:
        raise NotFoundError("No such coupon.")
    return newest.model_copy(update={"redemptions": _redemptions(runtime, newest.key)})


def _redemptions(runtime: Runtime, key: str) -> int:
    return runtime.store.redemptions([key]).get(key, 0)


def _newest(catalogue: Catalogue, key: str) -> CouponAnswer | None:
    versions = catalogue.coupons.get(key)
    return CouponAnswer.of(versions[-1]) if versions else None


@router.route(
    "GET",
    "/v1/coupons",
    scope="read",
    summary="List coupons by key, the newest version of each",
    query=PageQuery,
    answer=Page[CouponAnswer],
)
def list_published(request: Request, runtime: Runtime, query: PageQuery) -> Page[CouponAnswer]:
    published = runtime.catalogue_service.catalogue().coupons
    newest = {key: versions[-1] for key, versions in published.items()}
    page = page_by_key(runtime, request, query, newest, lambda coupon: coupon)
    given = runtime.store.redemptions([coupon.key for coupon in page.data])
    listed = [CouponAnswer.of(coupon, given.get(coupon.key, 0)) for coupon in page.data]
    return Page(data=listed, next_cursor=page.next_cursor)


@router.route(
    "POST",
    "/v1/customers/{customer}/coupons",
    scope="admin",
    summary="Give a customer a coupon",
    body=ApplyCouponBody,
    answer=AppliedCouponView,
    status=201,
    money=True,
)
def give_coupon(request: Request, runtime: Runtime, body: ApplyCouponBody) -> Answer:
    stored = apply_coupon(runtime.books, money_write(request, body), body.coupon, _json)
    return Answer(stored.answer, stored.status)


@router.route(
    "POST",
    "/v1/customers/{customer}/coupons/{coupon}/end",
    scope="admin",
    summary="End a customer's coupon for the billing periods to come",
    answer=AppliedCouponView,
    money=True,
)
def end_given_coupon(request: Request, runtime: Runtime) -> Answer:
    coupon = request.parameters["coupon"]
    stored = end_coupon(runtime.books, money_write(request), coupon, _json)
    return Answer(stored.answer, stored.status)


@router.route(
    "GET",
    "/v1/customers/{customer}/coupons",
    scope="read",
    summary="The coupons that a customer has, and what is left of them",
    answer=Page[AppliedCouponView],
)
def read_coupons(request: Request, runtime: Runtime) -> Page[AppliedCouponView]:
    held = list_coupons(runtime.books, request.parameters["customer"])
    return Page(data=[AppliedCouponView.of(each.applied, each.period) for each in held])


def _json(held: HeldCoupon) -> str:
    return AppliedCouponView.of(held.applied, held.period).model_dump_json()
