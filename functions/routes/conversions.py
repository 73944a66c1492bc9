"""Conversion: what a free plan's customer was asked, and its confirmed payment method."""

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions.routes._common import money_write
from shared.services.conversions import Converting, change_conversion, read_conversion
from shared.wire.conversions import ConversionBody, ConversionView

router = Router()


def _conversion_json(found: Converting) -> str:
    return ConversionView.of(found).model_dump_json()


@router.route(
    "POST",
    "/v1/customers/{customer}/conversion",
    scope="admin",
    summary="Start a customer's conversion, confirm its payment method, or decline",
    body=ConversionBody,
    answer=ConversionView,
    money=True,
)
def convert_customer(request: Request, runtime: Runtime, body: ConversionBody) -> Answer:
    write = money_write(request, body)
    stored = change_conversion(runtime.books, write, body.to_order(), _conversion_json)
    return Answer(stored.answer, stored.status)


@router.route(
    "GET",
    "/v1/customers/{customer}/conversion",
    scope="read",
    summary="Whether a customer was asked to pay, and what came of it",
    answer=ConversionView,
)
def read_customer_conversion(request: Request, runtime: Runtime) -> ConversionView:
    return ConversionView.of(read_conversion(runtime.books, request.parameters["customer"]))
