"""Correcting raw events: an entry that takes back what counts, and one with what counts instead.

The event as it was sent never changes. A correction's entries are stored all or nothing under
identities of their own, and come down the stream like any other event.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.catalogue import Catalogue, Meter
from shared.domain.corrections import History, correct
from shared.domain.errors import (
    ConflictError,
    InvalidError,
    MeterlineError,
    NotFoundError,
    Problem,
    UnavailableError,
    VersionConflictError,
)
from shared.domain.events import Correction, UsageEvent, Value, canonical_json, event_key
from shared.services.changes import Change, PutAudit, PutIdempotencyKey
from shared.services.clock import customer_now
from shared.services.idempotency import MAX_ATTEMPTS, IdempotencyKeyReusedError
from shared.services.ingest import MAX_LATENESS, quantity_problem
from shared.services.store import BillingStore, CatalogueSource, Clock, StoredAnswer


class AlreadyCancelledError(ConflictError):
    """A cancelled event counts for ever no more (409)."""

    code = "already-cancelled"


class CorrectionStore(Protocol):
    """The raw events with what corrected them. What is stored is never changed."""

    def history(self, customer: str, key: str) -> History | None:
        """The event of this key with its corrections, read consistently; None if there is none.

        Raises: UnreadableError.
        """

    def histories(self, customer: str, keys: Sequence[str]) -> Mapping[str, History]:
        """Those of the events that are there, by key, read consistently.

        Raises: UnreadableError.
        """

    def commit(self, entries: Sequence[UsageEvent], beside: Sequence[Change]) -> None:
        """Stores the entries of one correction and makes the changes, all or nothing.

        Raises: VersionConflictError if what they take back is not there, or was taken back.
        """


@dataclass(frozen=True, slots=True)
class CorrectionOrder:
    """What is to count instead of an event's data: other data, or (None) nothing.

    With an idempotency `key`, a repeat of the same request (by its hash) gets the same answer.
    """

    customer: str
    source: str
    id: str
    data: Mapping[str, Value] | None
    actor: str
    reason: str | None = None
    key: str | None = None
    request_hash: str = ""


@dataclass(frozen=True, slots=True)
class Correcting:
    """Corrects events.

    `is_backfilled` tells whether a meter's history was counted, `count_again` has what
    backfills have of a customer's hour computed anew.
    """

    store: BillingStore
    corrections: CorrectionStore
    catalogue: CatalogueSource
    clock: Clock
    is_backfilled: Callable[[str], bool]
    count_again: Callable[[str, datetime], None]

    def correct(self, order: CorrectionOrder, render: Callable[[History], str]) -> StoredAnswer:
        """Corrects the event; `render` makes the answer. The same data again changes nothing.

        Raises: NotFoundError, InvalidError, AlreadyCancelledError, IdempotencyKeyReusedError,
        UnavailableError.
        """
        attempted: tuple[UsageEvent, ...] = ()
        for _ in range(MAX_ATTEMPTS):
            if (earlier := self._answered(order)) is not None:
                return earlier
            history = self.corrections.history(order.customer, event_key(order.source, order.id))
            if history is None:
                raise NotFoundError("No such event.")
            if order.key is None and attempted and attempted == _beside(attempted[0], history):
                # It was stored, and only the reply was lost; with a key, that would tell.
                return StoredAnswer(order.request_hash, 200, render(history))
            try:
                attempted = self._entries(order, history)
            except MeterlineError:
                # Sent twice at once, one is refused for what the other did: both get its answer.
                if self._answered(order) is None:
                    raise
                continue
            after = History(history.event, (*history.entries, *attempted))
            answer = StoredAnswer(order.request_hash, 200, render(after))
            try:
                self._commit(order, history, attempted, answer)
            except VersionConflictError:
                continue
            if attempted:
                self.count_again(order.customer, history.event.occurred_at)
            return answer
        raise UnavailableError("the event is being corrected by others: send again")

    def _answered(self, order: CorrectionOrder) -> StoredAnswer | None:
        if order.key is None:
            return None
        earlier = self.store.idempotent_answer(order.customer, order.key)
        if earlier is not None and earlier.body_hash != order.request_hash:
            raise IdempotencyKeyReusedError("The Idempotency-Key came with another request.")
        return earlier

    def _entries(self, order: CorrectionOrder, history: History) -> tuple[UsageEvent, ...]:
        """The correction's entries; none where the data is in force already."""
        effective = history.effective
        if effective is None:
            raise AlreadyCancelledError("The event is cancelled, and stays so.")
        if order.data is not None and canonical_json(order.data) == canonical_json(effective.data):
            return ()
        customer = self.store.customer(order.customer)
        now = customer_now(self.store, self.clock, customer) if customer else self.clock.now()
        if effective.occurred_at < now - MAX_LATENESS:
            problem = Problem("/id", "too-old")
            raise InvalidError("Events are corrected for 35 days from their time.", [problem])
        made = Correction(0, "reversal", order.actor, now, history.event.received_at, order.reason)
        if order.data is not None:
            _check_quantities(order.data, self._meters(effective, self.catalogue.newest()))
        return correct(history, order.data, made, self.clock.now())

    def _meters(self, event: UsageEvent, catalogue: Catalogue) -> list[Meter]:
        """The meters that count the event, live or by a backfill."""
        return [
            meter
            for meter in catalogue.meters.values()
            if meter.event_type == event.type
            and (meter.counts(event.catalogue_version) or self.is_backfilled(meter.key))
        ]

    def _commit(
        self,
        order: CorrectionOrder,
        history: History,
        entries: Sequence[UsageEvent],
        answer: StoredAnswer,
    ) -> None:
        beside: list[Change] = []
        if entries:
            beside.append(_audit(order, history, entries))
        if order.key is not None:
            answered = (answer.body_hash, answer.status, answer.answer)
            beside.append(PutIdempotencyKey(order.customer, order.key, *answered))
        if entries:
            self.corrections.commit(entries, beside)
        elif beside:
            self.store.commit(beside)


def _beside(entry: UsageEvent, history: History) -> tuple[UsageEvent, ...]:
    """The history's entries of the correction that has this entry's number."""
    made = entry.correction
    return tuple(
        e for e in history.entries if made and e.correction and e.correction.number == made.number
    )


def _check_quantities(data: Mapping[str, Value], meters: Sequence[Meter]) -> None:
    """What a meter would read as a quantity has to be one, as at ingest.

    Raises: InvalidError.
    """
    read = {m.value for m in meters if m.value and m.aggregation != "unique_count"}
    problems = [
        Problem(f"/data/{name.replace('~', '~0').replace('/', '~1')}", code)
        for name in sorted(read & data.keys())
        if (code := quantity_problem(data[name]))
    ]
    if problems:
        raise InvalidError("Nothing was stored: each place listed breaks a rule.", problems)


def _audit(order: CorrectionOrder, history: History, entries: Sequence[UsageEvent]) -> PutAudit:
    return PutAudit(
        at=entries[0].received_at,
        actor=order.actor,
        action="event.correct",
        subject=f"{order.customer}/{history.event.key}",
        before={"data": canonical_json(entries[0].data)},
        after={
            "number": history.number + 1,
            "data": None if order.data is None else canonical_json(order.data),
            "reason": order.reason,
        },
    )
