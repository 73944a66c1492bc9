"""What a use case asks the billing store to change: a list of these commits all or nothing.

Each names its own condition, so that every commit is safe to repeat and loses no race silently:
a lost one raises VersionConflictError and nothing is written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from shared.domain.accounts import Account, ClosedPhase
from shared.domain.conversions import Conversion, Stored
from shared.domain.credits import Grant
from shared.domain.customers import Customer, Subscription
from shared.domain.dimension_cap import RegisterKey
from shared.domain.distinct import Seen
from shared.domain.earned_shares import Accrual, EarningEntry, Earnings, Payout
from shared.domain.folding import LateUsage
from shared.domain.ledger import LedgerEntry
from shared.domain.placing import Claim
from shared.domain.reservations import Reservation, ReservationStatus
from shared.domain.rewards import RewardDay, RewardProgress
from shared.domain.usage_hours import UsageHour


@dataclass(frozen=True, slots=True)
class SaveAccount:
    """Writes the account if the stored version is still `read_version` (0: not stored yet)."""

    account: Account
    read_version: int


@dataclass(frozen=True, slots=True)
class SaveSubscription:
    """Writes the terms as version + 1 if the stored version is still the one they carry.

    `new`: they must not be stored yet.
    """

    subscription: Subscription
    new: bool = False


@dataclass(frozen=True, slots=True)
class CreateCustomer:
    """Puts the profile if the customer is not known yet; joins it to its test clock, if any."""

    customer: Customer


@dataclass(frozen=True, slots=True)
class UpdateCustomer:
    """Overwrites the profile of a known customer if that is as it was when read."""

    customer: Customer
    read: Customer


@dataclass(frozen=True, slots=True)
class PutGrant:
    """Puts a grant; a repeated opening puts the same grant again."""

    grant: Grant


@dataclass(frozen=True, slots=True)
class PutLedgerEntry:
    """Puts the entry if its version has none yet."""

    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class PutClosedPhase:
    """Keeps a closed phase, or moves one on that late usage was billed for."""

    customer: str
    closed: ClosedPhase


@dataclass(frozen=True, slots=True)
class PutLateUsage:
    """Names an event that is billed late, and with which period."""

    late: LateUsage


@dataclass(frozen=True, slots=True)
class PutInvoice:
    """Puts a finalized invoice, its pointer in the customer's list, and moves the number counter.

    `series` is the counter; `number` the value that it must move to, from number - 1.
    """

    customer: str
    document: Mapping[str, object]
    finalized_at: datetime
    series: str
    number: int


@dataclass(frozen=True, slots=True)
class PutQuarantine:
    """Keeps a record that could not be applied: where it stood, why, and what was not applied."""

    customer: str
    event_key: str
    shard: str
    sequence: int
    reason: str
    detail: str
    not_applied: tuple[str, ...]
    quarantined_at: datetime
    record: str  # the stored event as JSON text of its attribute values


@dataclass(frozen=True, slots=True)
class MarkRedriven:
    """Marks a quarantined record as applied, if it is not yet; its verdict stays for ever."""

    customer: str
    event_key: str
    redriven_at: datetime


@dataclass(frozen=True, slots=True)
class ExplainQuarantine:
    """Says why a record in quarantine still cannot be applied, if it is still there."""

    customer: str
    event_key: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class PutIdempotencyKey:
    """Keeps the answer to a money write under the caller's key, if the key is not used yet."""

    customer: str
    key: str
    body_hash: str
    status: int
    answer: str


@dataclass(frozen=True, slots=True)
class PutAudit:
    """Who changed what: one audit entry."""

    at: datetime
    actor: str
    action: str
    subject: str
    before: Mapping[str, object] = field(default_factory=dict)
    after: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SaveUsageHour:
    """Adds to a usage hour if its checkpoints are still as read; with it, the values that are new.

    `values` are the quarters that each distinct value was first seen in by this write.
    """

    before: UsageHour
    after: UsageHour
    values: Seen = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExtendRegister:
    """Adds groups to the register of an hour if it is still as read: nothing is ever taken out."""

    key: RegisterKey
    read: frozenset[bytes]
    added: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class PutClaim:
    """Notes that a rate card has counted a value, if it has not yet."""

    customer: str
    claim: Claim


@dataclass(frozen=True, slots=True)
class DropClaim:
    """Takes out a claim, which must be there: no event of the phase has the value any more."""

    customer: str
    claim: Claim


@dataclass(frozen=True, slots=True)
class DropValues:
    """Takes quarters out of values that are there: no event of these quarters has them any more.

    The usage hours that they belong to are fenced beside it, or put as a whole after it.
    """

    values: Seen


@dataclass(frozen=True, slots=True)
class PutBackfilledHour:
    """Puts a usage hour of events from before its meter: whoever computes it puts the same.

    `values` are distinct ones seen in it, whose quarters are added.
    """

    hour: UsageHour
    values: Seen = field(default_factory=dict)


# What rewards and earnings are told from; each has a version of its own.
Record = RewardProgress | RewardDay | Accrual | Earnings | EarningEntry | Payout


@dataclass(frozen=True, slots=True)
class SaveRecord:
    """Writes a record as version + 1 if the stored version is still `read_version` (0: none)."""

    record: Record
    read_version: int


@dataclass(frozen=True, slots=True)
class SaveReservation:
    """Puts a reservation if its status is still the one read (None: it is not there yet)."""

    reservation: Reservation
    read_status: ReservationStatus | None


@dataclass(frozen=True, slots=True)
class SaveConversion:
    """Puts a conversion if it is stored as it was read (None: it is not there yet)."""

    conversion: Conversion
    read: Stored | None


@dataclass(frozen=True, slots=True)
class CountRedemption:
    """Counts a coupon as given once more, if that was fewer than `most` times (None: any)."""

    coupon: str
    most: int | None


Change = (
    SaveAccount
    | SaveSubscription
    | CreateCustomer
    | UpdateCustomer
    | PutGrant
    | PutLedgerEntry
    | PutClosedPhase
    | PutLateUsage
    | PutInvoice
    | PutQuarantine
    | MarkRedriven
    | ExplainQuarantine
    | PutIdempotencyKey
    | PutAudit
    | SaveUsageHour
    | ExtendRegister
    | PutClaim
    | DropClaim
    | DropValues
    | SaveReservation
    | SaveRecord
    | SaveConversion
    | CountRedemption
    | PutBackfilledHour
)
