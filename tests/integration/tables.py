"""The two tables' definitions, in the shape that CreateTable takes."""

from typing import Any

STRING = "S"


def _table(
    keys: list[str], stream_view: str, indexes: dict[str, tuple[list[str], str]]
) -> dict[str, Any]:
    attributes = {name for name in keys}
    for index_keys, _ in indexes.values():
        attributes.update(index_keys)

    def key_schema(names: list[str]) -> list[dict[str, str]]:
        return [
            {"AttributeName": name, "KeyType": kind}
            for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
        ]

    return {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": STRING} for name in sorted(attributes)
        ],
        "KeySchema": key_schema(keys),
        "StreamSpecification": {"StreamEnabled": True, "StreamViewType": stream_view},
        "GlobalSecondaryIndexes": [
            {
                "IndexName": name,
                "KeySchema": key_schema(index_keys),
                "Projection": {"ProjectionType": projection},
            }
            for name, (index_keys, projection) in indexes.items()
        ],
    }


EVENTS_TABLE = _table(["pk", "sk"], "NEW_IMAGE", {"by_time": (["lane", "occurred_at"], "ALL")})
BILLING_TABLE = _table(
    ["pk", "sk"],
    "NEW_AND_OLD_IMAGES",
    {
        "by_due": (["due_lane", "due_at"], "KEYS_ONLY"),
        "by_kind": (["kind", "kind_sort"], "ALL"),
    },
)
