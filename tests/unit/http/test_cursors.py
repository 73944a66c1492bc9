"""Cursors cannot be made, altered or used for another list."""

import base64

import pytest

from shared.services.cursors import Cursors, InvalidCursorError

CURSORS = Cursors(b"k" * 32)
POSITION = {"key": "é", "at": "2026"}


def test_a_cursor_leads_back_to_its_position() -> None:
    assert CURSORS.open("events", CURSORS.sign("events", POSITION)) == POSITION


def test_forged_cursors() -> None:
    cursor = CURSORS.sign("events", POSITION)
    raw = base64.urlsafe_b64decode(cursor)
    forged = base64.urlsafe_b64encode(raw[:16] + raw[16:].replace(b"2026", b"2027")).decode()
    stranger = Cursors(b"x" * 32).sign("events", POSITION)
    for text in ["", "x", "é", cursor[:-4], cursor + "AAAA", "!" + cursor, forged, stranger]:
        with pytest.raises(InvalidCursorError):
            CURSORS.open("events", text)
    with pytest.raises(InvalidCursorError):
        CURSORS.open("ledger", cursor)
