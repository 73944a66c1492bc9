"""What changes of records in quarantine: redriven once, explained anew until then."""

from typing import Any

from shared.adapters.dynamodb.attributes import to_item
from shared.adapters.dynamodb.billing_items import quarantine_keys
from shared.services.changes import ExplainQuarantine, MarkRedriven


def redriven_write(table: str, change: MarkRedriven) -> dict[str, Any]:
    """Without a kind it leaves the list of what is in quarantine."""
    expression = "SET redriven_at = :at REMOVE kind, kind_sort"
    return _update(table, change, expression, {":at": change.redriven_at})


def explained_write(table: str, change: ExplainQuarantine) -> dict[str, Any]:
    """Says why it is still there; it stays in the list."""
    values = {":reason": change.reason, ":detail": change.detail}
    return _update(table, change, "SET reason = :reason, detail = :detail", values)


def _update(
    table: str, change: MarkRedriven | ExplainQuarantine, expression: str, values: dict[str, Any]
) -> dict[str, Any]:
    """Only what is in quarantine is changed."""
    return {
        "Update": {
            "TableName": table,
            "Key": to_item(quarantine_keys(change.customer, change.event_key)),
            "UpdateExpression": expression,
            "ConditionExpression": "attribute_exists(pk) AND attribute_not_exists(redriven_at)",
            "ExpressionAttributeValues": to_item(values),
        }
    }
