"""What credits took of late usage, as an auditor checks it."""

from typing import Any

import pytest

from shared.domain.verification import verify

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
