"""A reservation is settled by the event that names it, and by nothing that corrects the event."""

from dataclasses import replace
from decimal import Decimal

from shared.domain.corrections import History, correct
from shared.domain.events import Correction
from shared.domain.folding import RESERVATION, Fold, Terms
from shared.domain.reservations import Reservation, id_at, reserve
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, MARCH, a_catalogue, units, usage

CATALOGUE = a_catalogue()


def test_a_correction_that_overtakes_its_event_settles_nothing() -> None:
    books = Books.open(CATALOGUE, MARCH)
    held = Reservation(id_at(APRIL, "a"), "acme", "sparks", units(9), MARCH, APRIL)
    data = {"tokens": Decimal(40), "model": "large"}
    sent = replace(usage("acme", 1, MARCH + DAY, data), extensions={RESERVATION: held.id})
    made = Correction(0, "reversal", "somebody", MARCH + DAY, MARCH)
    entries = correct(History(sent), {**data, "tokens": Decimal(20)}, made, MARCH + DAY)
    terms = Terms(CATALOGUE, books.subscription, books.grants, reservations={held.id: held})
    fold = Fold("shard-1", 0, reserve(books.account, held), terms)
    arrivals = enumerate((*entries, sent), start=1)
    fold.run([a_record(event, number, CATALOGUE) for number, event in arrivals])
    [settled] = [each for step in fold.steps for each in step.settled]
    assert settled.event == sent.key
    assert settled.drawn >= 0
    assert fold.account.reserved == {}
    assert fold.account.remaining("sparks") == units("49.4"), "20 tokens at 0.03 of 50"
