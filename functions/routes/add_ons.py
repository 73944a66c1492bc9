"""Add-ons: packs in the catalogue, and buying them."""

from functions._http import Answer, Request, Router
from functions._preconditions import require_match
from functions._runtime import Runtime
from functions._validation import validate
from functions.routes._common import money_write, page_by_key
from functions.routes.subscriptions import subscription_json
from shared.domain.catalogue import Catalogue
from shared.domain.errors import NotFoundError
from shared.services.buying import BoughtPack, buy_add_on, end_add_on
from shared.wire.add_ons import AddOnAnswer, AddOnBody, PurchaseBody, PurchaseView
from shared.wire.common import Page, PageQuery, Slug
from shared.wire.subscriptions import SubscriptionView

router = Router()


@router.route(
    "PUT",
    "/v1/add-ons/{add_on}",
    scope="admin",
    summary="Publish an add-on's next version",
    body=AddOnBody,
    answer=AddOnAnswer,
    tagged=True,
)
def put_add_on(request: Request, runtime: Runtime, body: AddOnBody) -> AddOnAnswer:
    add_on = body.to_add_on(validate(Slug, request.parameters["add_on"]))
    service = runtime.catalogue_service.provided(
        lambda catalogue: require_match(request.headers, _newest(catalogue, add_on.key))
    )
    return AddOnAnswer.of(service.put_add_on(add_on, request.principal, runtime.clock.now()))


@router.route(
    "GET",
    "/v1/add-ons/{add_on}",
    scope="read",
    summary="The newest version of an add-on",
    answer=AddOnAnswer,
    tagged=True,
)
def read_add_on(request: Request, runtime: Runtime) -> AddOnAnswer:
    newest = _newest(runtime.catalogue_service.catalogue(), request.parameters["add_on"])
    if newest is None:
        raise NotFoundError("No such add-on.")
    return newest


def _newest(catalogue: Catalogue, key: str) -> AddOnAnswer | None:
    versions = catalogue.add_ons.get(key)
    return AddOnAnswer.of(versions[-1]) if versions else None


@router.route(
    "GET",
    "/v1/add-ons",
    scope="read",
    summary="List add-ons by key, the newest version of each",
    query=PageQuery,
    answer=Page[AddOnAnswer],
)
def list_add_ons(request: Request, runtime: Runtime, query: PageQuery) -> Page[AddOnAnswer]:
    published = runtime.catalogue_service.catalogue().add_ons
    newest = {key: versions[-1] for key, versions in published.items()}
    return page_by_key(runtime, request, query, newest, AddOnAnswer.of)


@router.route(
    "POST",
    "/v1/customers/{customer}/add-ons",
    scope="admin",
    summary="Buy packs of an add-on: live and invoiced at once",
    body=PurchaseBody,
    answer=PurchaseView,
    status=201,
    money=True,
)
def buy_packs(request: Request, runtime: Runtime, body: PurchaseBody) -> Answer:
    write = money_write(request, body)
    stored = buy_add_on(runtime.books, write, body.add_on, body.quantity, _json)
    return Answer(stored.answer, stored.status)


@router.route(
    "POST",
    "/v1/customers/{customer}/add-ons/{add_on}/cancel",
    scope="admin",
    summary="End a recurring add-on with the billing period",
    answer=SubscriptionView,
    money=True,
)
def cancel_add_on(request: Request, runtime: Runtime) -> Answer:
    write = money_write(request)
    stored = end_add_on(runtime.books, write, request.parameters["add_on"], subscription_json)
    return Answer(stored.answer, stored.status)


def _json(bought: BoughtPack) -> str:
    return PurchaseView.of(bought).model_dump_json()
