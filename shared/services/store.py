"""The ports to storage: what the use cases need of the two tables, in the domain's words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

from shared.domain.accounts import Account, ClosedPhase
from shared.domain.catalogue import Catalogue
from shared.domain.conversions import Conversion
from shared.domain.credits import Grant
from shared.domain.customers import Customer, Subscription
from shared.domain.dimension_cap import RegisterKey, Registers
from shared.domain.distinct import DistinctValue, Seen, ValueKey
from shared.domain.ledger import LedgerEntry
from shared.domain.placing import Claim
from shared.domain.reservations import Reservation
from shared.domain.usage_hours import HourKey, UsageHour
from shared.services.changes import Change

# Closed phases that late usage can still reach: 35 daily periods, with changes of plan in them.
CLOSED_PHASES_READ = 160

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """Some items of a list, and the cursor after the last one, None at its end."""

    items: tuple[Item, ...]
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """What an idempotency key was answered, and the hash of the body that it came with."""

    body_hash: str
    status: int
    answer: str


@dataclass(frozen=True, slots=True)
class QuarantinedRecord:
    """A record that could not be applied, as people look at it; redriven, it was applied after."""

    customer: str
    event_key: str
    reason: str
    detail: str
    not_applied: tuple[str, ...]
    quarantined_at: datetime
    record: str
    redriven_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Footing:
    """What a batch of a customer's usage starts from; account and terms None if it is unknown."""

    account: Account | None
    subscription: Subscription | None
    hours: Mapping[HourKey, UsageHour]


class BillingStore(Protocol):
    """The billing table. Reads are consistent; a commit is all or nothing."""

    def customer(self, key: str) -> Customer | None:
        """The profile, or None if the customer is not known."""

    def customers(self, limit: int, cursor: str | None) -> Page[Customer]:
        """Known customers by key."""

    def subscription(self, customer: str) -> Subscription | None:
        """The terms the next period opens on."""

    def account(self, customer: str) -> Account | None:
        """The account at its newest version."""

    def grants(self, customer: str, ids: Iterable[str]) -> Mapping[str, Grant]:
        """Grants by id."""

    def all_grants(self, customer: str) -> Sequence[Grant]:
        """Every grant of the customer, spent and voided ones too."""

    def closed_phases(self, customer: str, limit: int) -> Sequence[ClosedPhase]:
        """The most recently closed phases, newest first."""

    def quarantined(self, customer: str, event_keys: Iterable[str]) -> set[str]:
        """Which of the events were ever set aside, redriven ones too."""

    def set_aside(self, customer: str) -> Mapping[str, QuarantinedRecord]:
        """Every record of the customer that was ever set aside, by event key."""

    def quarantined_record(self, customer: str, event_key: str) -> QuarantinedRecord | None:
        """One of them."""

    def quarantine(self, limit: int, cursor: str | None) -> Page[QuarantinedRecord]:
        """All records in quarantine, newest first; a redriven one leaves the list."""

    def late_usage(self, customer: str, phase: int) -> Mapping[str, int]:
        """The events that came after the phase was closed: event key -> period billed with."""

    def footing(self, customer: str, hours: Iterable[HourKey]) -> Footing:
        """The account, its terms and those of these hours that are stored, read in one go."""

    def usage_between(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Sequence[UsageHour]:
        """A customer's usage hours of a meter that begin in [start, end)."""

    def registers(self, keys: Iterable[RegisterKey]) -> Registers:
        """Those of the registers of dimension values that are stored."""

    def registers_between(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Registers:
        """A customer's registers of a meter, of the hours that begin in [start, end)."""

    def seen(self, keys: Iterable[ValueKey]) -> Seen:
        """The quarters that those of the values that are stored were seen in."""

    def values_between(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Iterable[DistinctValue]:
        """A customer's distinct values of a meter, of the UTC days that [start, end) touches."""

    def claimed(self, customer: str, claims: Iterable[Claim]) -> set[Claim]:
        """Which of the values rate cards have counted."""

    def reservations(self, customer: str, ids: Iterable[str]) -> Mapping[str, Reservation]:
        """Those of these reservations that there are, by id."""

    def reservations_from(self, customer: str, first: str) -> Iterable[Reservation]:
        """The customer's reservations from this id on (or where it would be), by time of expiry."""

    def list_reservations(self, customer: str, limit: int, cursor: str | None) -> Page[Reservation]:
        """All of them, ended ones too, those that expire last first."""

    def conversion(self, customer: str) -> Conversion | None:
        """The customer's latest conversion."""

    def redemptions(self, coupons: Iterable[str]) -> Mapping[str, int]:
        """How often each of the coupons was given, by key; those never given are left out."""

    def ledger(
        self, customer: str, limit: int, cursor: str | None, *, newest_first: bool = False
    ) -> Page[LedgerEntry]:
        """Ledger entries in order of account versions."""

    def invoice(self, invoice_id: str) -> Mapping[str, object] | None:
        """A finalized invoice's document."""

    def invoices(self, customer: str, limit: int, cursor: str | None) -> Page[Mapping[str, object]]:
        """A customer's finalized invoices, newest first."""

    def last_invoice_number(self, series: str) -> int:
        """The number given last in the series, 0 before the first."""

    def idempotent_answer(self, customer: str, key: str) -> StoredAnswer | None:
        """What the key was answered, if it was used."""

    def due_customers(self, until: datetime) -> Iterable[str]:
        """Customers on the machine's clock with a step due at or before the instant."""

    def clock_members(self, clock_id: str) -> Sequence[str]:
        """The customers that live on a test clock."""

    def clock(self, clock_id: str) -> datetime | None:
        """A test clock's time, or None if there is none."""

    def commit(self, changes: Sequence[Change]) -> None:
        """Makes the changes together.

        Raises: VersionConflictError if a condition does not hold; UnavailableError.
        """


class BarrierStore(Protocol):
    """Barriers: records that follow a customer's events down the stream, to know it has passed."""

    def send(self, customer: str, token: str) -> None:
        """Puts the barrier behind the events stored so far; a repeat is the same barrier."""

    def mark_passed(self, customer: str, token: str) -> None:
        """Notes that everything before the barrier is applied."""

    def has_passed(self, customer: str, token: str) -> bool:
        """Whether the barrier has come through."""


class CatalogueSource(Protocol):
    """The catalogue, kept at hand."""

    def fresh(self) -> Catalogue:
        """The catalogue as it was at most a second ago."""

    def newest(self) -> Catalogue:
        """The catalogue with everything that was published before the call."""

    def at_least(self, version: int) -> Catalogue:
        """The catalogue at this version or a newer one.

        Raises: UnavailableError if there is no such version to be read.
        """


class Clock(Protocol):
    """The machine's clock."""

    def now(self) -> datetime:
        """The current instant, UTC."""
