"""The stored account: exact both ways, and small enough for a write unit."""

from dataclasses import replace

import pytest

from shared.adapters.dynamodb.account_items import account_item, read_account
from tests.support.builders import MARCH
from tests.support.large_account import LARGE, large_account
from tests.support.sizes import item_bytes


@pytest.mark.parametrize(("phases", "limit"), [(1, 1024), (3, 2048)])
def test_a_busy_account_costs_few_write_units(phases: int, limit: int) -> None:
    assert item_bytes(account_item(large_account(phases=phases))) <= limit


def test_an_account_comes_back_as_it_was_stored() -> None:
    by_event = replace(LARGE, event_amounts=12_345_678_901)
    account = replace(large_account(phases=3), late={20: (LARGE, by_event)}, quarantined_at=MARCH)
    account = replace(account, reserved={"credits": 7, "USD": 1}, reserved_until=MARCH)
    seats = replace(account.current, quantity=1, seats=((MARCH, 11), (MARCH, 2)))
    account = replace(account, phases=(*account.phases[:-1], seats))
    assert read_account(account_item(account)) == account
