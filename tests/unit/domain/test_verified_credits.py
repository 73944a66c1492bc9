"""What credits took of late usage, as an auditor checks it."""

from decimal import Decimal
from typing import Any

import pytest

from shared.domain.catalogue import Rate
from shared.domain.corrections import History, correct
from shared.domain.credits import Grant
from shared.domain.events import Correction
from shared.domain.granting import add_grant
from shared.domain.invoice_document import document_hash, invoice_document
from shared.domain.prices import PerUnit
from shared.domain.proof import COUNTED
from shared.domain.verification import verify
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, a_catalogue, a_plan, units, usage

CARD = {"phase": 4, "late": True, "meter": "payments", "where": {}, "unit": "USD"}
PRICE = {"model": "percentage", "rate": "2.9", "fixed_fee": "0.3", "max_per_event": "4"}


def corrected(drawn: str) -> dict[str, Any]:
    """An invoice on which 88.14 was put in the place of 122.61, which had been billed in money."""
    usage = {
        "n": 1,
        "type": "usage",
        "price": PRICE,
        "quantity": "-34.47",
        "included": "0",
        "unit_amount": "-0.99963",
        "amount": "-1.00",
        "before": {"count": 7, "sum": "1002.08", "included": "0", "amounts": "26.85784"}
        | {"checksum": "0" * 16},
        "events": {"count": 0, "sum": "-34.47", "checksum": "0" * 16, "amounts": "-0.99963"},
        "counts": {"event_type": "pay", "aggregation": "sum", "value": "amount"}
        | {"dimensions": [], "filter": {}, "catalogue": {"since": 1, "until": 9}, "where_not": []},
        "service_period": {"start": "2026-02-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"},
    }
    taken = {"n": 2, "type": "credits_applied", "unit_amount": drawn, "amount": drawn}
    lines = [{**CARD, **usage}, {**CARD, **taken}]
    period = {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
    invoice = {"customer": "acme", "currency": "USD", "total": "-3.86", "hash": ""}
    return {**invoice, "period_number": 5, "period": period, "lines": lines}


@pytest.mark.parametrize(
    ("drawn", "differs"), [("-2.85606", False), ("-25.85821", False), ("-25.86", True)]
)
def test_credits_may_take_what_a_correction_put_in_the_place_of_billed_usage(
    drawn: str, differs: bool
) -> None:
    places = [each.place for each in verify(corrected(drawn), ())]
    assert any(place.startswith("credits of") for place in places) == differs


def test_a_grant_that_expired_takes_nothing_back_of_what_it_paid() -> None:
    """An event drew it, and was cancelled after its remainder was broken, in the open period."""
    rate = Rate("messages", PerUnit(Decimal("0.5")), "USD")
    books = Books.open(a_catalogue(a_plan(allowances=(), credits=(), rates=(rate,))), MARCH)
    end = MARCH + 10 * DAY
    grant = Grant("g1", "acme", "USD", units(5), "promotion", MARCH, MARCH, end)
    books.account = add_grant(books.account, grant, MARCH, books.catalogue, ())
    books.grants[grant.id] = grant
    sent = [usage("acme", n, MARCH + n * DAY) for n in (1, 2)]
    books.apply([a_record(event, n, books.catalogue) for n, event in enumerate(sent, 1)])
    books.break_expired(end + 2 * HOUR)
    made = Correction(0, "reversal", "key", end + DAY, sent[0].received_at)
    [reversal] = correct(History(sent[0]), None, made, end + DAY)
    books.apply([a_record(reversal, 3, books.catalogue)])
    books.open_next()
    invoice = books.close(APRIL + HOUR).invoice
    assert invoice is not None
    document = invoice_document(invoice)
    document = {**document, "hash": document_hash(document)}
    used, drawn = (line for line in document["lines"] if "meter" in line)
    assert (used["quantity"], used["unit_amount"], drawn["unit_amount"]) == ("1", "0.5", "-1")
    told = [(event, COUNTED) for event in (*sent, reversal)]
    assert verify(document, told) == ()
    lines = [
        {**line, "unit_amount": "-1.01", "amount": "-1.01"} if line["n"] == drawn["n"] else line
        for line in document["lines"]
    ]
    places = [each.place for each in verify({**document, "lines": lines}, told)]
    assert any(place.startswith("credits of") for place in places)
