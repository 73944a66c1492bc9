"""The audit trail: one item for each change that a person or program made on purpose."""

import secrets

from shared.adapters.dynamodb.attributes import Item, to_item
from shared.domain.events import utc_text
from shared.services.changes import PutAudit

PARTITION = "AUDIT"


def audit_item(entry: PutAudit) -> Item:
    """The item, under a key of its own that sorts by time."""
    return to_item(
        {
            "pk": PARTITION,
            "sk": f"{utc_text(entry.at)}#{secrets.token_hex(8)}",
            "at": entry.at,
            "actor": entry.actor,
            "action": entry.action,
            "subject": entry.subject,
            "before": entry.before,
            "after": entry.after,
        }
    )
