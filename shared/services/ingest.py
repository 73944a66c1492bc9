"""Usage events come in: judged all together, stored each once, answered when durable."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, Protocol

from shared.domain.catalogue import Catalogue
from shared.domain.errors import InvalidError, Problem
from shared.domain.events import UsageEvent, Value, event_key, numeric
from shared.domain.money import NANO_PLACES, bounds_problem
from shared.domain.uncounted import unmeasured
from shared.services.store import CatalogueSource, Clock

MAX_AHEAD = timedelta(minutes=5)
MAX_LATENESS = timedelta(days=35)
MAX_QUANTITY = Decimal(10**12)

Insertion = Literal["stored", "exists", "failed"]
Outcome = Literal["accepted", "duplicate", "conflict", "unknown"]
EventKey = tuple[str, str]  # customer, event key


@dataclass(frozen=True, slots=True)
class Submission:
    """An event as sent. `pointer` is its place in the request; without a time it is now."""

    pointer: str
    customer: str
    source: str
    id: str
    type: str
    occurred_at: datetime | None
    data: Mapping[str, Value]
    extensions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CustomerState:
    """What ingest asks about a customer: `clock_now` is its test clock's time, if it has one."""

    archived: bool = False
    clock_now: datetime | None = None


@dataclass(frozen=True, slots=True)
class IngestResult:
    """One outcome per event of the request, in its order.

    Of the accepted, `unmetered` are those that no live meter reads, and `value_missing` those
    without the value that one of their meters reads.
    """

    outcomes: tuple[Outcome, ...]
    unmetered: int
    value_missing: int


class EventStore(Protocol):
    """The raw events. What is stored is never changed."""

    def insert(self, events: Sequence[UsageEvent]) -> Sequence[Insertion]:
        """Stores each event unless its identity is taken; returns once the stored are durable.

        The identities must differ. After a retry an own write may be found to exist already.
        """

    def fingerprints(self, keys: Iterable[EventKey]) -> Mapping[EventKey, bytes]:
        """The fingerprints of those that are stored, read consistently."""


class IngestContext(Protocol):
    """What is asked of the billing table before events are judged."""

    def read(self, customers: Iterable[str]) -> tuple[int, Mapping[str, CustomerState]]:
        """The newest catalogue version, and the customers that are known; read consistently.

        Raises: UnavailableError.
        """


@dataclass(frozen=True, slots=True)
class Ingest:
    """Takes usage events in."""

    events: EventStore
    context: IngestContext
    catalogue: CatalogueSource
    clock: Clock

    def take(self, submissions: Sequence[Submission]) -> IngestResult:
        """Stores the events; those stored before are told apart by identity and fingerprint.

        Raises: InvalidError, with nothing written; UnavailableError likewise.
        """
        version, customers = self.context.read({s.customer for s in submissions})
        catalogue = self.catalogue.at_least(version)
        received_at = self.clock.now()
        unknown = CustomerState()
        nows = {
            s.customer: customers.get(s.customer, unknown).clock_now or received_at
            for s in submissions
        }
        events = [_event(s, nows[s.customer], received_at, catalogue.version) for s in submissions]
        keys = [(event.customer, event.key) for event in events]
        prints = [event.fingerprint for event in events]
        problems = _quantity_problems(submissions, catalogue)
        problems += _repeat_problems(submissions, keys, prints)
        suspect = {}
        for index, event in enumerate(events):
            state = customers.get(event.customer, unknown)
            if found := _admission_problem(event, nows[event.customer], state):
                place, code = found
                suspect[index] = Problem(submissions[index].pointer + place, code)
        known = self.events.fingerprints(keys[index] for index in suspect)
        problems += [problem for index, problem in suspect.items() if keys[index] not in known]
        if problems:
            raise InvalidError("Nothing was stored: each place listed breaks a rule.", problems)
        outcomes = self._store(events, keys, prints, known)
        new = [e for e, outcome in zip(events, outcomes, strict=True) if outcome == "accepted"]
        unmetered = sum(not catalogue.meters_of(e.type, catalogue.version) for e in new)
        value_missing = sum(_lacks_value(event, catalogue) for event in new)
        return IngestResult(tuple(outcomes), unmetered, value_missing)

    def stored(self, submissions: Sequence[Submission]) -> list[bool]:
        """Which of the identities are taken, whatever the events say; read consistently."""
        keys = [(s.customer, event_key(s.source, s.id)) for s in submissions]
        known = self.events.fingerprints(keys)
        return [key in known for key in keys]

    def _store(
        self,
        events: Sequence[UsageEvent],
        keys: Sequence[EventKey],
        prints: Sequence[bytes],
        known: Mapping[EventKey, bytes],
    ) -> list[Outcome]:
        """Insert what is not known to be stored, and compare the rest with what is."""
        first: dict[EventKey, int] = {}
        for index, key in enumerate(keys):
            first.setdefault(key, index)
        fresh = [index for key, index in first.items() if key not in known]
        inserted = self.events.insert([events[index] for index in fresh])
        verdicts = {keys[i]: v for i, v in zip(fresh, inserted, strict=True)}
        existing = [key for key, verdict in verdicts.items() if verdict == "exists"]
        stored = {**known, **self.events.fingerprints(existing)}
        outcomes: list[Outcome] = []
        for index, key in enumerate(keys):
            if verdicts.get(key) == "stored":
                outcomes.append("accepted" if first[key] == index else "duplicate")
            elif key in stored:
                outcomes.append("duplicate" if stored[key] == prints[index] else "conflict")
            else:
                outcomes.append("unknown")
        return outcomes


def _event(
    submission: Submission, now: datetime, received_at: datetime, version: int
) -> UsageEvent:
    return UsageEvent(
        customer=submission.customer,
        source=submission.source,
        id=submission.id,
        type=submission.type,
        occurred_at=submission.occurred_at or now,
        received_at=received_at,
        catalogue_version=version,
        data=submission.data,
        extensions=submission.extensions,
    )


def _quantity_problems(submissions: Sequence[Submission], catalogue: Catalogue) -> list[Problem]:
    """What a live meter would read as a quantity has to be one, where it is there at all."""
    properties = {
        event_type: {
            meter.value
            for meter in catalogue.meters_of(event_type, catalogue.version)
            if meter.value and meter.aggregation != "unique_count"
        }
        for event_type in {s.type for s in submissions}
    }
    return [
        Problem(f"{submission.pointer}/data/{_token(name)}", code)
        for submission in submissions
        for name in properties[submission.type]
        if name in submission.data and (code := quantity_problem(submission.data[name]))
    ]


def quantity_problem(value: Value) -> str | None:
    """Why the property is no quantity (0 to 10^12, at most 9 decimals), as a code; or None."""
    number = numeric(value)
    if number is None:
        return "not-a-number"
    return bounds_problem(number, NANO_PLACES, Decimal(0), MAX_QUANTITY)


def _repeat_problems(
    submissions: Sequence[Submission], keys: Sequence[EventKey], prints: Sequence[bytes]
) -> list[Problem]:
    """One request cannot say two different things of one event."""
    first: dict[EventKey, bytes] = {}
    return [
        Problem(submission.pointer, "contradicts-earlier-event")
        for submission, key, fingerprint in zip(submissions, keys, prints, strict=True)
        if first.setdefault(key, fingerprint) != fingerprint
    ]


def _admission_problem(
    event: UsageEvent, now: datetime, customer: CustomerState
) -> tuple[str, str] | None:
    """Where and why the event may not come in, unless it is a resend of one that is stored."""
    if customer.archived:
        return "/subject", "customer-archived"
    if event.occurred_at > now + MAX_AHEAD:
        return "/time", "in-the-future"
    if event.occurred_at < now - MAX_LATENESS:
        return "/time", "too-old"
    return None


def _lacks_value(event: UsageEvent, catalogue: Catalogue) -> bool:
    meters = catalogue.meters_of(event.type, catalogue.version)
    return any(unmeasured(event, meter) == "no-value" for meter in meters)


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
