"""What changes of records in quarantine: redriven once, explained anew until then."""

from typing import Any

from shared.adapters.dynamodb.attributes import to_item
from shared.adapters.dynamodb.billing_items import quarantine_keys
from shared.services.changes import ExplainQuarantine, MarkRedriven

IN_QUARANTINE = "attribute_exists(pk) AND attribute_not_exists(redriven_at)"


def redriven_write(table: str, change: MarkRedriven) -> dict[str, Any]:
    """Without a kind it leaves the list of what is in quarantine."""
    return {
        "Update": {
            "TableName": table,
            "Key": to_item(quarantine_keys(change.customer, change.event_key)),
            "UpdateExpression": "SET redriven_at = :at REMOVE kind, kind_sort",
            "ConditionExpression": IN_QUARANTINE,
            "ExpressionAttributeValues": to_item({":at": change.redriven_at}),
        }
    }


def explained_write(table: str, change: ExplainQuarantine) -> dict[str, Any]:
    """Says why it is still there; it stays in the list."""
    return {
        "Update": {
            "TableName": table,
            "Key": to_item(quarantine_keys(change.customer, change.event_key)),
            "UpdateExpression": "SET reason = :reason, detail = :detail",
            "ConditionExpression": IN_QUARANTINE,
            "ExpressionAttributeValues": to_item(
                {":reason": change.reason, ":detail": change.detail}
            ),
        }
    }
