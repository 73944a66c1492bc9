"""Customers as people keep them: profiles, and making a customer before its first event."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace

from shared.domain.customers import Customer
from shared.domain.errors import (
    ConflictError,
    InvalidError,
    Problem,
    UnavailableError,
    VersionConflictError,
)
from shared.services.changes import PutAudit, UpdateCustomer
from shared.services.customers import creation
from shared.services.idempotency import Decision, MoneyWrite, commit_once
from shared.services.standing import Books
from shared.services.store import StoredAnswer

# A race is lost only to the customer's first event or to another PUT of the same customer.
MAX_ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class Profile:
    """What a PUT says of a customer; it replaces all that was said before.

    `test_clock` places a new customer on that clock; None says nothing about clocks.
    """

    name: str | None
    email: str | None
    currency: str | None
    timezone: str
    traits: Mapping[str, str]
    test_clock: str | None


def put_customer(
    books: Books,
    key: str,
    profile: Profile,
    actor: str,
    *,
    test_clocks: bool,
    provided: Callable[[Customer | None], None] = lambda _: None,
) -> Customer:
    """Makes the customer, on the default plan, or replaces the profile of a known one.

    `test_clocks`: whether this stage has them. `provided` raises if the profile that is there must
    not be replaced; one that is there already is no change.
    Raises: InvalidError, ConflictError for a change of clock, UnavailableError.
    """
    for _ in range(MAX_ATTEMPTS):
        try:
            stored = books.store.customer(key)
            if stored is None:
                provided(None)
                return _create(books, key, profile, actor, test_clocks=test_clocks)
            return _update(books, stored, _updated(stored, profile), actor, provided)
        except VersionConflictError:
            continue
    raise UnavailableError("the customer is being changed by others: send again")


def archive_customer(
    books: Books, write: MoneyWrite, render: Callable[[Customer], str], *, archived: bool
) -> StoredAnswer:
    """Archives the customer, or takes that back; done twice it changes nothing.

    New events of an archived customer are refused. What it is subscribed to goes on.
    Raises: NotFoundError, ConflictError for a reused key, UnavailableError.
    """

    def decide() -> Decision:
        stored = books.customer(write.customer)
        if (stored.archived_at is not None) == archived:
            return Decision([], render(stored))
        customer = replace(stored, archived_at=books.now(stored) if archived else None)
        action = "customer.archive" if archived else "customer.unarchive"
        audit = _audit(books, write.actor, action, stored, customer)
        return Decision([UpdateCustomer(customer, stored), audit], render(customer))

    return commit_once(books.store, write, decide)


def _create(books: Books, key: str, profile: Profile, actor: str, *, test_clocks: bool) -> Customer:
    now = books.clock.now()
    if profile.test_clock is not None:
        stands_at = books.store.clock(profile.test_clock) if test_clocks else None
        if stands_at is None:
            raise InvalidError("No such test clock.", [Problem("/test_clock", "unknown-clock")])
        now = stands_at
    customer = Customer(
        key=key,
        created_at=now,
        timezone=profile.timezone,
        currency=profile.currency,
        name=profile.name,
        email=profile.email,
        traits=profile.traits,
        test_clock=profile.test_clock,
    )
    changes = creation(books.store, books.catalogue.newest(), customer, now, books.grace)
    audit = _audit(books, actor, "customer.create", None, customer)
    books.store.commit([*changes, audit])
    return customer


def _update(
    books: Books,
    stored: Customer,
    customer: Customer,
    actor: str,
    provided: Callable[[Customer | None], None],
) -> Customer:
    if customer != stored:
        provided(stored)
        audit = _audit(books, actor, "customer.update", stored, customer)
        books.store.commit([UpdateCustomer(customer, stored), audit])
    return customer


def _updated(stored: Customer, profile: Profile) -> Customer:
    if profile.test_clock not in (None, stored.test_clock):
        raise ConflictError("A customer stays on the clock that it was made on.")
    return replace(
        stored,
        name=profile.name,
        email=profile.email,
        currency=profile.currency,
        timezone=profile.timezone,
        traits=profile.traits,
    )


def _audit(
    books: Books, actor: str, action: str, before: Customer | None, after: Customer
) -> PutAudit:
    return PutAudit(
        at=books.clock.now(),
        actor=actor,
        action=action,
        subject=after.key,
        before=asdict(before) if before else {},
        after=asdict(after),
    )
