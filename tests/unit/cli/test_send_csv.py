"""`meterline send` of CSV: columns to attributes and data, and spreadsheets' bad habits."""

from decimal import Decimal

import pytest

from shared.domain.events import event_key
from tests.unit.cli.ingest_api import IngestClient
from tests.unit.cli.test_send import Sender, api, sender

__all__ = ["api", "sender"]  # the fixtures

HEADER = "id,source,type,subject,time,tokens,model"


def test_columns_are_attributes_or_data(api: IngestClient, sender: Sender) -> None:
    row = '1,app,chat,acme,2026-03-10T10:00:00Z,12345678901.000000001,"large, ""new"""'
    assert sender(f"\ufeff{HEADER}\r\n{row}\r\n", name="f.csv") == 0
    event = api.stored("acme", event_key("app", "1"))
    assert event.occurred_at.isoformat() == "2026-03-10T10:00:00+00:00"
    assert event.data == {"tokens": Decimal("12345678901.000000001"), "model": 'large, "new"'}


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("7", Decimal(7)),
        ("-0.50", Decimal("-0.5")),
        ("007", "007"),
        ("1e5", "1e5"),
        ("+4", "+4"),
        ("1.", "1."),
        ("１", "１"),
        ("true", "true"),
        (" 3", " 3"),
        ("9" * 40, "9" * 40),
        ("=1+1", "=1+1"),
    ],
)
def test_only_a_plain_decimal_is_a_number(
    api: IngestClient, sender: Sender, cell: str, value: object
) -> None:
    assert sender(f"id,model\n1,{cell}\n", "--type", "t", "--subject", "s", name="f.csv") == 0
    assert api.stored("s", event_key("f.csv", "1")).data == {"model": value}


def test_columns_of_other_names_and_defaults(api: IngestClient, sender: Sender) -> None:
    text = "account,used,type\nacme,5,\n,6,own\n"
    options = ["--column", "subject=account", "--type", "chat", "--subject", "else"]
    assert sender(text, *options, name="f.csv") == 0
    found = {(customer, api.stored(customer, key).type) for customer, key in api.store.items}
    assert found == {("acme", "chat"), ("else", "own")}
    assert sender(text, *options, name="f.csv") == 0
    assert sender.out.startswith("0 accepted, 2 duplicates")


def test_lines_are_counted_over_quoted_line_breaks(api: IngestClient, sender: Sender) -> None:
    rows = [
        '1,app,chat,acme,,1,"two\nlines"',
        "2,app,chat,acme,,x,m",
        "3,app",
        "",
        "4,a,chat,s,,1,",
    ]
    assert sender("\n".join([HEADER, *rows]), "--continue-on-error", name="f.csv") == 1
    assert sender.out == "2 accepted, 0 duplicates, 0 unmetered, 2 refused\n"
    assert "f.csv:4: data/tokens: not-a-number" in sender.err
    assert "f.csv:5: wrong-number-of-cells" in sender.err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,tokens,tokens\n1,2,3\n", "line 1: each column has a name of its own: tokens"),
        ("id,,tokens\n1,2,3\n", "line 1: each column has a name of its own"),
        ('id,type\n1,"open\n', "line 2 is not CSV"),
        pytest.param("id,type\n1," + "x" * 200_000, "line 2 is not CSV", id="huge cell"),
        (b"id,type\n1,\xff\n", "line 2 is not UTF-8"),
    ],
)
def test_what_is_no_csv_is_told_by_line(
    api: IngestClient, sender: Sender, text: str | bytes, words: str
) -> None:
    assert sender(text, "--continue-on-error", name="f.csv") == 1
    assert words in sender.err
    assert api.sizes == []


def test_a_column_that_is_not_there_is_told(api: IngestClient, sender: Sender) -> None:
    assert sender("id\n1\n", "--column", "subject=who", name="f.csv") == 1
    assert "no column is called who" in sender.err
    with pytest.raises(SystemExit) as misuse:
        sender("id\n1\n", "--column", "data=who", name="f.csv")
    assert misuse.value.code == 2
