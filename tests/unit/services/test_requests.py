"""What routes make of a request's headers, and of text that spreadsheets and browsers run."""

import json
from typing import Any

import pytest

from functions._http import Request
from functions._validation import IdempotencyKeyRequiredError
from functions.routes._common import MAX_PAGE_BYTES, accepts, money_write, page_that_fits
from functions.routes._invoice_page import invoice_page
from shared.domain.errors import InvalidError
from shared.wire.credits import GrantBody
from shared.wire.usage import csv_cell

GRANT = {"unit": "sparks", "source": "reward"}


def request(**headers: str) -> Request:
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    return Request("POST", "/v1/customers/ada/grants", headers=sent, parameters={"customer": "ada"})


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/csv", True),
        ("text/csv, application/json;q=0.5", True),
        ("TEXT/CSV; q=0.9, application/json; q=0.1", True),
        ("application/json, text/csv;q=0.9", False),
        ("text/csv;q=0", False),
        ("text/csv;q=much", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_another_form_is_given_where_it_is_preferred_to_json(accept: str, wanted: bool) -> None:
    assert accepts(request(accept=accept), "text/csv") is wanted


def test_the_same_meaning_is_the_same_request_however_it_is_written() -> None:
    def hashed(amount: Any) -> str:
        body = GrantBody.model_validate({**GRANT, "amount": amount})
        return money_write(request(idempotency_key="k"), body).request_hash

    assert hashed("1.50") == hashed("1.5")
    assert hashed("1.5") != hashed("1.6")


def test_a_key_is_required_and_plain_text() -> None:
    with pytest.raises(IdempotencyKeyRequiredError):
        money_write(request())
    with pytest.raises(IdempotencyKeyRequiredError):
        money_write(request(idempotency_key=""))
    with pytest.raises(InvalidError):
        money_write(request(idempotency_key="k" * 257))


@pytest.mark.parametrize("item", ["x" * 10**5, '"\\' * 10**5, "é" * 10**5])
def test_a_page_holds_what_one_answer_can(item: str) -> None:
    def render(limit: int) -> tuple[str, int]:
        page = [item] * min(limit, 100)
        return json.dumps(page, ensure_ascii=False), len(page)

    page = json.loads(page_that_fits(1000, render))
    each = len(json.dumps(json.dumps(item, ensure_ascii=False), ensure_ascii=False).encode())
    assert MAX_PAGE_BYTES - 2 * each < each * len(page) <= MAX_PAGE_BYTES + each


def test_a_page_has_an_item_however_large() -> None:
    text = page_that_fits(3, lambda limit: ("x" * MAX_PAGE_BYTES * limit, limit))
    assert len(text) == MAX_PAGE_BYTES
    assert page_that_fits(1, lambda limit: ("x" * 2 * MAX_PAGE_BYTES, limit))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert csv_cell(text) == f"'{text}"


def test_a_page_shows_markup_as_text() -> None:
    span = {"start": "a", "end": "b"}
    line = {"type": "fee", "description": "<script>", "service_period": span, "amount": "1.00"}
    overage = {"type": "overage", "unit": "<b>", "unit_amount": "12.5", "unit_value": "0.05"}
    page = invoice_page(
        {
            "number": None,
            "customer": '"><img src=x>',
            "status": "draft",
            "finalized_at": None,
            "currency": "USD",
            "total": "1.00",
            "period": span,
            "lines": [line, {**line, **overage}],
        }
    )
    assert "<script>" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page
    assert "12.5 &lt;b&gt; × 0.05" in page
