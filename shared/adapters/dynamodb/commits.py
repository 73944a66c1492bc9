"""Each change of a commit as the conditional writes that carry it out."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from shared.adapters.dynamodb.account_items import (
    account_item,
    closed_phase_item,
    customer_partition,
    grant_item,
    subscription_item,
)
from shared.adapters.dynamodb.attributes import Item, to_attribute, to_item
from shared.adapters.dynamodb.audit import audit_item
from shared.adapters.dynamodb.billing_items import (
    claim_keys,
    customer_as_read,
    customer_item,
    late_prefix,
    ledger_item,
    quarantine_item,
    register_keys,
    usage_hour_item,
    value_keys,
)
from shared.adapters.dynamodb.conversion_items import conversion_item
from shared.adapters.dynamodb.coupon_items import redemption_write
from shared.adapters.dynamodb.optional_members import OPTIONAL
from shared.adapters.dynamodb.quarantine_writes import explained_write, redriven_write
from shared.adapters.dynamodb.record_items import record_item
from shared.adapters.dynamodb.reservation_items import reservation_item
from shared.domain.customers import Customer, Subscription
from shared.domain.distinct import Seen, ValueKey
from shared.domain.events import utc_text
from shared.domain.folding import LateUsage
from shared.services import changes

ABSENT = "attribute_not_exists(pk)"
PRESENT = "attribute_exists(pk)"

Write = dict[str, Any]


def writes_of(change: changes.Change, table: str) -> Iterator[Write]:  # noqa: C901, PLR0912, PLR0915
    """The entries of TransactItems that make the change, each with its condition."""
    match change:
        case changes.SaveAccount(account, read_version):
            yield _update(table, account_item(account), *_version_is(read_version))
        case changes.SaveSubscription(subscription, new):
            yield _save_subscription(table, subscription, new=new)
        case changes.CreateCustomer(customer):
            yield _put(table, customer_item(customer), ABSENT)
            if customer.test_clock:
                yield from _join_clock(table, customer)
        case changes.UpdateCustomer(customer, read):
            yield _update_customer(table, customer, read)
        case changes.PutGrant(grant):
            yield _put(table, grant_item(grant))
        case changes.PutLedgerEntry(entry):
            yield _put(table, ledger_item(entry), ABSENT)
        case changes.PutClosedPhase(customer_key, closed):
            yield _put(table, closed_phase_item(customer_key, closed))
        case changes.PutLateUsage(late):
            yield _put(table, _late_item(late))
        case changes.PutInvoice():
            yield from _put_invoice(table, change)
        case changes.PutQuarantine():
            yield _put(table, quarantine_item(change), ABSENT)
        case changes.MarkRedriven():
            yield redriven_write(table, change)
        case changes.ExplainQuarantine():
            yield explained_write(table, change)
        case changes.PutIdempotencyKey():
            yield _put(table, _idempotency_item(change), ABSENT)
        case changes.PutAudit():
            yield _put(table, audit_item(change))
        case changes.SaveUsageHour():
            yield from _save_usage_hour(table, change)
        case changes.ExtendRegister():
            yield _extend_register(table, change)
        case changes.SaveRecord(record, read):
            yield _update(table, record_item(record, read + 1), *_version_is(read))
        case changes.SaveReservation(reservation, read_status):
            item = reservation_item(reservation)
            yield _save_if(table, item, "state", read_status)
        case changes.SaveConversion(conversion, read):
            yield _save_if(table, conversion_item(conversion), "stored", read)
        case changes.CountRedemption():
            yield redemption_write(table, change)
        case changes.PutClaim(customer_key, claim):
            yield _put(table, to_item(claim_keys(customer_key, claim)), ABSENT)
        case changes.DropClaim(customer_key, claim):
            key = to_item(claim_keys(customer_key, claim))
            yield {"Delete": {"TableName": table, "Key": key, "ConditionExpression": PRESENT}}
        case changes.DropValues(values):
            yield from (_drop_value(table, *each) for each in values.items())
        case changes.PutBackfilledHour():
            yield _put(table, usage_hour_item(change.hour))
            yield from _see_values(table, change.values)


def _version_is(read_version: int) -> tuple[str, dict[str, Any]]:
    if read_version == 0:
        return ABSENT, {}
    return "version = :read", {":read": {"N": str(read_version)}}


def _put(table: str, item: Item, condition: str | None = None) -> Write:
    put: dict[str, Any] = {"TableName": table, "Item": item}
    if condition:
        put["ConditionExpression"] = condition
    return {"Put": put}


def _update(table: str, item: Item, condition: str, values: dict[str, Any]) -> Write:
    """Sets the item's members and leaves any that this code does not know as they are."""
    key = {"pk": item["pk"], "sk": item["sk"]}
    members = [name for name in item if name not in key]
    gone = [name for name in OPTIONAL.get(item["sk"]["S"], ()) if name not in item]
    names = {f"#{i}": name for i, name in enumerate([*members, *gone])}
    sets = ", ".join(f"#{i} = :{i}" for i in range(len(members)))
    removes = ", ".join(f"#{i}" for i in range(len(members), len(names)))
    return {
        "Update": {
            "TableName": table,
            "Key": key,
            "UpdateExpression": f"SET {sets}" + (f" REMOVE {removes}" if removes else ""),
            "ConditionExpression": condition,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": {
                **{f":{i}": item[name] for i, name in enumerate(members)},
                **values,
            },
        }
    }


def _save_usage_hour(table: str, change: changes.SaveUsageHour) -> Iterator[Write]:
    """The hour under the checkpoints that were read, and the quarters of values that are new."""
    packed = change.before.checkpoints.pack()
    read = {":read": {"B": packed}} if packed else {}
    condition = "checkpoints = :read" if packed else ABSENT
    yield _update(table, usage_hour_item(change.after), condition, read)
    yield from _see_values(table, change.values)


def _see_values(table: str, values: Seen) -> Iterator[Write]:
    for key, quarters in values.items():
        sets, added = "", {":quarters": {"NS": [str(n) for n in sorted(quarters)]}}
        if key.dimensions:
            sets, added[":names"] = "SET dimensions = :names ", to_attribute(dict(key.dimensions))
        yield {
            "Update": {
                "TableName": table,
                "Key": to_item(value_keys(key)),
                "UpdateExpression": f"{sets}ADD quarters :quarters",
                "ExpressionAttributeValues": added,
            }
        }


def _drop_value(table: str, key: ValueKey, quarters: frozenset[int]) -> Write:
    """Takes the quarters out of the set as it is then: others are seen and dropped beside them."""
    return {
        "Update": {
            "TableName": table,
            "Key": to_item(value_keys(key)),
            "UpdateExpression": "DELETE quarters :quarters",
            "ConditionExpression": PRESENT,
            "ExpressionAttributeValues": {":quarters": {"NS": [str(n) for n in sorted(quarters)]}},
        }
    }


def _extend_register(table: str, change: changes.ExtendRegister) -> Write:
    """Groups are only added, so a set of the size that was read is the set that was read."""
    read = {":read": {"N": str(len(change.read))}} if change.read else {}
    return {
        "Update": {
            "TableName": table,
            "Key": to_item(register_keys(change.key)),
            "UpdateExpression": "ADD #groups :added",
            "ConditionExpression": "size(#groups) = :read" if change.read else ABSENT,
            "ExpressionAttributeNames": {"#groups": "groups"},
            "ExpressionAttributeValues": {":added": {"BS": sorted(change.added)}, **read},
        }
    }


def _save_subscription(table: str, subscription: Subscription, *, new: bool) -> Write:
    item = subscription_item(subscription)
    item["version"] = {"N": str(subscription.version + 1)}
    if new:
        return _put(table, item, ABSENT)
    return _update(table, item, *_version_is(subscription.version))


def _save_if(table: str, item: Item, member: str, read: str | None) -> Write:
    """Puts the item if that member of it is as it was read (None: there is no such item yet)."""
    if read is None:
        return _put(table, item, ABSENT)
    write = _put(table, item, "#member = :read")
    write["Put"]["ExpressionAttributeNames"] = {"#member": member}
    write["Put"]["ExpressionAttributeValues"] = to_item({":read": read})
    return write


def _update_customer(table: str, customer: Customer, read: Customer) -> Write:
    """Put as a whole, so that what was cleared is gone."""
    condition, names, values = customer_as_read(read)
    write = _put(table, customer_item(customer), condition)
    write["Put"]["ExpressionAttributeNames"] = names
    write["Put"]["ExpressionAttributeValues"] = values
    return write


def _join_clock(table: str, customer: Customer) -> Iterator[Write]:
    """Membership, and the condition that the clock is still there."""
    clock = f"CLOCK#{customer.test_clock}"
    yield _put(table, to_item({"pk": clock, "sk": f"CUSTOMER#{customer.key}"}))
    yield {
        "ConditionCheck": {
            "TableName": table,
            "Key": to_item({"pk": clock, "sk": "CLOCK"}),
            "ConditionExpression": PRESENT,
        }
    }


def _late_item(late: LateUsage) -> Item:
    return to_item(
        {
            "pk": customer_partition(late.event.customer),
            "sk": late_prefix(late.phase) + late.event.key,
            "period": late.period,
            "occurred_at": late.event.occurred_at,
        }
    )


def _put_invoice(table: str, change: changes.PutInvoice) -> Iterator[Write]:
    """The invoice, its place in the customer's list, and the step of the number counter."""
    document = change.document
    text = json.dumps(document, separators=(",", ":"))
    finalized_at = utc_text(change.finalized_at)
    invoice = {"pk": f"INVOICE#{document['id']}", "sk": "INVOICE", "document": text}
    yield _put(table, to_item(invoice), ABSENT)
    pointer = {
        "pk": customer_partition(change.customer),
        "sk": f"INVOICE#{finalized_at}#{change.number:012d}#{document['id']}",
        "id": document["id"],
    }
    yield _put(table, to_item(pointer), ABSENT)
    first = change.number == 1
    values: dict[str, Any] = {":next": {"N": str(change.number)}}
    if not first:
        values[":last"] = {"N": str(change.number - 1)}
    yield {
        "Update": {
            "TableName": table,
            "Key": to_item(number_key(change.series)),
            "UpdateExpression": "SET last_number = :next",
            "ConditionExpression": ABSENT if first else "last_number = :last",
            "ExpressionAttributeValues": values,
        }
    }


def number_key(series: str) -> dict[str, str]:
    """Where a series of invoice numbers keeps its last one."""
    return {"pk": f"NUMBERS#{series}", "sk": "NUMBERS"}


def idempotency_key(customer: str, key: str) -> dict[str, str]:
    """Where the answer to a money write is kept."""
    return {"pk": f"IDEMPOTENCY#{customer}", "sk": f"KEY#{key}"}


def _idempotency_item(change: changes.PutIdempotencyKey) -> Item:
    kept = {"body_hash": change.body_hash, "status": change.status, "answer": change.answer}
    return to_item({**idempotency_key(change.customer, change.key), **kept})


def single_write(client: Any, write: Write) -> None:
    """Makes one write on its own: half the price of a transaction."""
    [(kind, arguments)] = write.items()
    make = {"Put": client.put_item, "Update": client.update_item, "Delete": client.delete_item}
    make[kind](**arguments)


def all_writes(batch: Sequence[changes.Change], table: str) -> list[Write]:
    """The writes of all changes of a commit, in order."""
    return [write for change in batch for write in writes_of(change, table)]
