"""The billing table in memory: the same conditions, the same all-or-nothing commits."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any, TypeVar

from shared.domain.accounts import Account, ClosedPhase
from shared.domain.checkpoints import Checkpoints
from shared.domain.conversions import Conversion
from shared.domain.credits import Grant
from shared.domain.customers import Customer, Subscription
from shared.domain.dimension_cap import RegisterKey, Registers
from shared.domain.distinct import DistinctValue, Seen, ValueKey
from shared.domain.errors import VersionConflictError
from shared.domain.folding import LateUsage
from shared.domain.ledger import LedgerEntry
from shared.domain.placing import Claim
from shared.domain.reservations import Reservation
from shared.domain.usage_hours import HourKey, UsageHour
from shared.services import changes
from shared.services.changes import Change, PutAudit, PutQuarantine, Record
from shared.services.store import Footing, Page, QuarantinedRecord, StoredAnswer
from tests.fakes.records import at_version, record_key, version_of

T = TypeVar("T")
Key = tuple[object, ...]

MAX_WRITES_IN_A_TRANSACTION = 100


class MemoryBillingStore:
    """See BillingStore. `on_account` is told of every account version that is written."""

    def __init__(
        self, on_account: Callable[[Account | None, Account], None] = lambda _old, _new: None
    ) -> None:
        self.profiles: dict[str, Customer] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.accounts: dict[str, Account] = {}
        self.grants_of: dict[str, dict[str, Grant]] = {}
        self.closed: dict[str, dict[int, ClosedPhase]] = {}
        self.late: dict[str, dict[tuple[int, str], LateUsage]] = {}
        self.aside: dict[str, dict[str, QuarantinedRecord]] = {}
        self.hours: dict[HourKey, UsageHour] = {}
        self._hours_of: dict[tuple[str, str], dict[HourKey, UsageHour]] = {}
        self.groups: dict[RegisterKey, frozenset[bytes]] = {}
        self._registers_of: dict[tuple[str, str], dict[RegisterKey, None]] = {}
        self._values_of: dict[tuple[str, str], dict[ValueKey, frozenset[int]]] = {}
        self.claims_of: dict[str, set[Claim]] = {}
        self.reservations_of: dict[str, dict[str, Reservation]] = {}
        self.conversions_of: dict[str, dict[int, Conversion]] = {}
        self.records: dict[Key, Record] = {}
        self.ledgers: dict[str, dict[int, LedgerEntry]] = {}
        self.documents: dict[str, Mapping[str, object]] = {}
        self.pointers: dict[str, dict[str, str]] = {}
        self.numbers: dict[str, int] = {}
        self.answers: dict[tuple[str, str], StoredAnswer] = {}
        self.audits: list[PutAudit] = []
        self.clocks: dict[str, datetime] = {}
        self.redeemed: dict[str, int] = {}
        self._on_account = on_account

    # -- reads

    def customer(self, key: str) -> Customer | None:
        return self.profiles.get(key)

    def customers(self, limit: int, cursor: str | None) -> Page[Customer]:
        return _page(self.profiles, limit, cursor)

    def subscription(self, customer: str) -> Subscription | None:
        return self.subscriptions.get(customer)

    def account(self, customer: str) -> Account | None:
        return self.accounts.get(customer)

    def grants(self, customer: str, ids: Iterable[str]) -> Mapping[str, Grant]:
        held = self.grants_of.get(customer, {})
        return {grant: held[grant] for grant in ids if grant in held}

    def all_grants(self, customer: str) -> Sequence[Grant]:
        return [grant for _, grant in sorted(self.grants_of.get(customer, {}).items())]

    def closed_phases(self, customer: str, limit: int) -> Sequence[ClosedPhase]:
        newest_first = sorted(self.closed.get(customer, {}).items(), reverse=True)
        return [phase for _, phase in newest_first[:limit]]

    def quarantined(self, customer: str, event_keys: Iterable[str]) -> set[str]:
        return set(self.aside.get(customer, {})) & set(event_keys)

    def set_aside(self, customer: str) -> Mapping[str, QuarantinedRecord]:
        return self.aside.get(customer, {})

    def quarantined_record(self, customer: str, event_key: str) -> QuarantinedRecord | None:
        return self.aside.get(customer, {}).get(event_key)

    def quarantine(self, limit: int, cursor: str | None) -> Page[QuarantinedRecord]:
        every = {
            f"{kept.quarantined_at.isoformat()}#{kept.event_key}": kept
            for aside in self.aside.values()
            for kept in aside.values()
            if kept.redriven_at is None
        }
        return _page(every, limit, cursor, newest_first=True)

    def late_usage(self, customer: str, phase: int) -> Mapping[str, int]:
        late = self.late.get(customer, {})
        return {key: usage.period for (number, key), usage in late.items() if number == phase}

    def footing(self, customer: str, hours: Iterable[HourKey]) -> Footing:
        found = {key: self.hours[key] for key in hours if key in self.hours}
        return Footing(self.account(customer), self.subscription(customer), found)

    def usage_between(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Sequence[UsageHour]:
        mine = self._hours_of.get((meter, customer), {})
        found = [hour for key, hour in mine.items() if start <= key.hour < end]
        return sorted(found, key=lambda hour: hour.key.hour)

    def registers(self, keys: Iterable[RegisterKey]) -> Registers:
        return {key: self.groups[key] for key in keys if key in self.groups}

    def registers_between(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Registers:
        mine = self._registers_of.get((meter, customer), {})
        return {key: self.groups[key] for key in mine if start <= key.hour < end}

    def seen(self, keys: Iterable[ValueKey]) -> Seen:
        return {
            key: self._values_of[key.meter, key.customer][key]
            for key in keys
            if key in self._values_of.get((key.meter, key.customer), {})
        }

    def values_between(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Sequence[DistinctValue]:
        first = start.replace(hour=0, minute=0, second=0, microsecond=0)
        mine = self._values_of.get((meter, customer), {})
        return [DistinctValue(k, quarters) for k, quarters in mine.items() if first <= k.day < end]

    def all_values(self, customer: str) -> Iterator[DistinctValue]:
        """Every distinct value of the customer, for whoever looks from outside."""
        mine = (kept for (_, key), kept in self._values_of.items() if key == customer)
        return (DistinctValue(key, seen) for kept in mine for key, seen in kept.items())

    def claimed(self, customer: str, claims: Iterable[Claim]) -> set[Claim]:
        return set(claims) & self.claims_of.get(customer, set())

    def reservations(self, customer: str, ids: Iterable[str]) -> Mapping[str, Reservation]:
        held = self.reservations_of.get(customer, {})
        return {each: held[each] for each in ids if each in held}

    def reservations_from(self, customer: str, first: str) -> Iterator[Reservation]:
        held = self.reservations_of.get(customer, {})
        return (held[each] for each in sorted(held) if each >= first)

    def list_reservations(self, customer: str, limit: int, cursor: str | None) -> Page[Reservation]:
        held = self.reservations_of.get(customer, {})
        return _page(held, limit, cursor, newest_first=True)

    def conversion(self, customer: str) -> Conversion | None:
        asked = self.conversions_of.get(customer, {})
        return asked[max(asked)] if asked else None

    def redemptions(self, coupons: Iterable[str]) -> Mapping[str, int]:
        return {key: self.redeemed[key] for key in coupons if key in self.redeemed}

    def ledger(
        self, customer: str, limit: int, cursor: str | None, *, newest_first: bool = False
    ) -> Page[LedgerEntry]:
        entries = {f"{n:012d}": entry for n, entry in self.ledgers.get(customer, {}).items()}
        return _page(entries, limit, cursor, newest_first=newest_first)

    def invoice(self, invoice_id: str) -> Mapping[str, object] | None:
        return self.documents.get(invoice_id)

    def invoices(self, customer: str, limit: int, cursor: str | None) -> Page[Mapping[str, object]]:
        listed = {at: self.documents[i] for at, i in self.pointers.get(customer, {}).items()}
        return _page(listed, limit, cursor, newest_first=True)

    def last_invoice_number(self, series: str) -> int:
        return self.numbers.get(series, 0)

    def idempotent_answer(self, customer: str, key: str) -> StoredAnswer | None:
        return self.answers.get((customer, key))

    def due_customers(self, until: datetime) -> Iterator[str]:
        due = ((s.due_at, key) for key, s in self.subscriptions.items() if s.test_clock is None)
        return (key for due_at, key in sorted(due) if due_at <= until)

    def clock(self, clock_id: str) -> datetime | None:
        return self.clocks.get(clock_id)

    def clock_members(self, clock_id: str) -> Sequence[str]:
        return sorted(key for key, c in self.profiles.items() if c.test_clock == clock_id)

    # -- commits

    def commit(self, batch: Sequence[Change]) -> None:
        keys = [key for change in batch for key in _keys(change)]
        if not 1 <= len(keys) <= MAX_WRITES_IN_A_TRANSACTION or len(set(keys)) < len(keys):
            raise ValueError("a commit is 1 to 100 writes of different items")
        if not all(self._holds(change) for change in batch):
            raise VersionConflictError("The stored state is not the one expected.")
        for change in batch:
            self._make(change)

    def _holds(self, change: Change) -> bool:  # noqa: C901, PLR0911, PLR0912
        """Whether the change's own condition holds."""
        match change:
            case changes.SaveAccount(account, read_version):
                stored = self.accounts.get(account.customer)
                return (stored.version if stored else 0) == read_version
            case changes.SaveSubscription(terms, new):
                kept = self.subscriptions.get(terms.customer)
                return kept is None if new else kept is not None and kept.version == terms.version
            case changes.CreateCustomer(customer):
                there = customer.test_clock is None or customer.test_clock in self.clocks
                return there and customer.key not in self.profiles
            case changes.UpdateCustomer(customer, read):
                return self.profiles.get(customer.key) == read
            case changes.PutLedgerEntry(entry):
                return entry.to_version not in self.ledgers.get(entry.customer, {})
            case changes.PutInvoice():
                fresh = change.document["id"] not in self.documents
                return fresh and self.numbers.get(change.series, 0) == change.number - 1
            case changes.PutQuarantine():
                return change.event_key not in self.aside.get(change.customer, {})
            case changes.MarkRedriven() | changes.ExplainQuarantine():
                record = self.aside.get(change.customer, {}).get(change.event_key)
                return record is not None and record.redriven_at is None
            case changes.PutIdempotencyKey():
                return (change.customer, change.key) not in self.answers
            case changes.SaveUsageHour(before):
                hour = self.hours.get(before.key)
                return (hour.checkpoints if hour else Checkpoints()) == before.checkpoints
            case changes.ExtendRegister(register, read):
                return len(self.groups.get(register, frozenset())) == len(read)
            case changes.SaveRecord(record, read):
                known_record = self.records.get(record_key(record))
                return version_of(known_record) == read
            case changes.SaveReservation(reservation, read_status):
                held = self.reservations_of.get(reservation.customer, {}).get(reservation.id)
                return (held.status if held else None) == read_status
            case changes.SaveConversion(conversion, read):
                asked = self.conversions_of.get(conversion.customer, {}).get(conversion.number)
                return (asked.stored if asked else None) == read
            case changes.CountRedemption(coupon, most):
                return most is None or self.redeemed.get(coupon, 0) < most
            case changes.PutClaim(customer_key, claim):
                return claim not in self.claims_of.get(customer_key, set())
            case changes.DropClaim(customer_key, claim):
                return claim in self.claims_of.get(customer_key, set())
            case changes.DropValues(values):
                return all(k in self._values_of.get((k.meter, k.customer), {}) for k in values)
            case _:
                return True

    def _make(self, change: Change) -> None:  # noqa: C901, PLR0912
        match change:
            case changes.SaveAccount(account, _):
                before = self.accounts.get(account.customer)
                self.accounts[account.customer] = account
                self._on_account(before, account)
            case changes.SaveSubscription(terms, _):
                stored = replace(terms, version=terms.version + 1)
                self.subscriptions[terms.customer] = stored
            case changes.CreateCustomer(customer) | changes.UpdateCustomer(customer):
                self.profiles[customer.key] = customer
            case changes.PutGrant(grant):
                self.grants_of.setdefault(grant.customer, {})[grant.id] = grant
            case changes.PutLedgerEntry(entry):
                self.ledgers.setdefault(entry.customer, {})[entry.to_version] = entry
            case changes.PutClosedPhase(customer_key, closed):
                self.closed.setdefault(customer_key, {})[closed.phase.number] = closed
            case changes.PutLateUsage(late):
                mine = self.late.setdefault(late.event.customer, {})
                mine[late.phase, late.event.key] = late
            case changes.PutInvoice():
                document = dict(change.document)
                self.documents[str(document["id"])] = document
                pointer = f"{change.finalized_at.isoformat()}#{document['id']}"
                self.pointers.setdefault(change.customer, {})[pointer] = str(document["id"])
                self.numbers[change.series] = change.number
            case changes.PutQuarantine():
                self.aside.setdefault(change.customer, {})[change.event_key] = _record(change)
            case changes.MarkRedriven():
                self._amend(change, redriven_at=change.redriven_at)
            case changes.ExplainQuarantine():
                self._amend(change, reason=change.reason, detail=change.detail)
            case changes.PutIdempotencyKey():
                answer = StoredAnswer(change.body_hash, change.status, change.answer)
                self.answers[change.customer, change.key] = answer
            case changes.PutAudit():
                self.audits.append(change)
            case changes.ExtendRegister(register, _, added):
                self.groups[register] = self.groups.get(register, frozenset()) | added
                owner = register.meter, register.customer
                self._registers_of.setdefault(owner, {})[register] = None
            case changes.SaveRecord(record, read):
                self.records[record_key(record)] = at_version(record, read + 1)
            case changes.SaveReservation(reservation):
                own = self.reservations_of.setdefault(reservation.customer, {})
                own[reservation.id] = reservation
            case changes.SaveConversion(conversion):
                asked = self.conversions_of.setdefault(conversion.customer, {})
                asked[conversion.number] = conversion
            case changes.CountRedemption(coupon):
                self.redeemed[coupon] = self.redeemed.get(coupon, 0) + 1
            case changes.PutClaim(customer_key, claim):
                self.claims_of.setdefault(customer_key, set()).add(claim)
            case changes.DropClaim(customer_key, claim):
                self.claims_of[customer_key].discard(claim)
            case changes.DropValues(values):
                for key, quarters in values.items():
                    theirs = self._values_of[key.meter, key.customer]
                    theirs[key] = theirs[key] - quarters
            case changes.SaveUsageHour(_, after, values) | changes.PutBackfilledHour(after, values):
                for key, quarters in values.items():
                    kept = self._values_of.setdefault((key.meter, key.customer), {})
                    kept[key] = kept.get(key, frozenset()) | quarters
                self.hours[after.key] = after
                theirs = self._hours_of.setdefault((after.key.meter, after.key.customer), {})
                theirs[after.key] = after

    def _amend(
        self, change: changes.MarkRedriven | changes.ExplainQuarantine, **members: Any
    ) -> None:
        aside = self.aside[change.customer]
        aside[change.event_key] = replace(aside[change.event_key], **members)


def _record(kept: PutQuarantine) -> QuarantinedRecord:
    return QuarantinedRecord(
        customer=kept.customer,
        event_key=kept.event_key,
        reason=kept.reason,
        detail=kept.detail,
        not_applied=kept.not_applied,
        quarantined_at=kept.quarantined_at,
        record=kept.record,
    )


def _page(
    items: Mapping[str, T], limit: int, cursor: str | None, *, newest_first: bool = False
) -> Page[T]:
    """The items after the cursor (the last key given out) in the order of their keys."""
    keys = sorted(items, reverse=newest_first)
    if cursor is not None:
        keys = [key for key in keys if (key < cursor if newest_first else key > cursor)]
    chosen = list(islice(keys, limit))
    more = len(keys) > len(chosen)
    return Page(tuple(items[key] for key in chosen), chosen[-1] if more else None)


def _keys(change: Change) -> list[Key]:  # noqa: C901, PLR0911, PLR0912
    """The items that the change writes: a transaction may name each only once."""
    match change:
        case changes.SaveAccount(account, _):
            return [("ACCOUNT", account.customer)]
        case changes.SaveSubscription(terms, _):
            return [("SUBSCRIPTION", terms.customer)]
        case changes.CreateCustomer(customer) if customer.test_clock:
            clock = customer.test_clock
            member: Key = ("CLOCK", clock, customer.key)
            return [("PROFILE", customer.key), member, ("CLOCK", clock)]
        case changes.CreateCustomer(customer) | changes.UpdateCustomer(customer):
            return [("PROFILE", customer.key)]
        case changes.PutGrant(grant):
            return [("GRANT", grant.customer, grant.id)]
        case changes.PutLedgerEntry(entry):
            return [("LEDGER", entry.customer, entry.to_version)]
        case changes.PutClosedPhase(customer_key, closed):
            return [("CLOSED", customer_key, closed.phase.number)]
        case changes.PutLateUsage(late):
            return [("LATE", late.event.customer, late.phase, late.event.key)]
        case changes.PutInvoice():
            invoice = change.document["id"]
            return [("INVOICE", invoice), ("POINTER", invoice), ("NUMBERS", change.series)]
        case changes.PutQuarantine() | changes.MarkRedriven() | changes.ExplainQuarantine():
            return [("QUARANTINE", change.customer, change.event_key)]
        case changes.PutIdempotencyKey():
            return [("IDEMPOTENCY", change.customer, change.key)]
        case changes.PutAudit():
            return [("AUDIT", id(change))]
        case changes.SaveUsageHour(before, _, values):
            return [("HOUR", before.key), *(("VALUE", key) for key in values)]
        case changes.PutBackfilledHour(hour, values):
            return [("HOUR", hour.key), *(("VALUE", key) for key in values)]
        case changes.ExtendRegister(register):
            return [("REGISTER", register)]
        case changes.SaveRecord(record):
            return [record_key(record)]
        case changes.SaveReservation(reservation):
            return [("RESERVATION", reservation.customer, reservation.id)]
        case changes.SaveConversion(conversion):
            return [("CONVERSION", conversion.customer, conversion.number)]
        case changes.CountRedemption(coupon):
            return [("COUPON", coupon)]
        case changes.DropValues(values):
            return [("VALUE", key) for key in values]
        case changes.PutClaim(customer_key, claim) | changes.DropClaim(customer_key, claim):
            return [("CLAIM", customer_key, claim)]
