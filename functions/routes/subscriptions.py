"""Subscriptions: what a customer is on."""

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions.routes._common import money_write
from shared.services.standing import Standing
from shared.services.subscribing import change_subscription, read_subscription
from shared.wire.subscriptions import SubscriptionBody, SubscriptionView

router = Router()


def subscription_json(standing: Standing) -> str:
    return SubscriptionView.of(standing).model_dump_json()


@router.route(
    "POST",
    "/v1/customers/{customer}/subscription",
    scope="admin",
    summary="Change or cancel a customer's plan",
    body=SubscriptionBody,
    answer=SubscriptionView,
    money=True,
)
def change_customer_plan(request: Request, runtime: Runtime, body: SubscriptionBody) -> Answer:
    write = money_write(request, body)
    stored = change_subscription(runtime.books, write, body.to_order(), subscription_json)
    return Answer(stored.answer, stored.status)


@router.route(
    "GET",
    "/v1/customers/{customer}/subscription",
    scope="read",
    summary="The plan a customer is on, and what is scheduled",
    answer=SubscriptionView,
)
def read_customer_plan(request: Request, runtime: Runtime) -> SubscriptionView:
    return SubscriptionView.of(read_subscription(runtime.books, request.parameters["customer"]))
