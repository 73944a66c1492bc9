"""API keys as items of the billing table, listed by id through the index by kind."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.adapters.dynamodb.attributes import Item, from_item, to_item
from shared.adapters.dynamodb.errors import ConditionFailedError, retrying
from shared.adapters.dynamodb.table_reads import TableReads
from shared.domain.errors import NotFoundError
from shared.domain.events import utc_text, utc_time
from shared.services.api_keys import ApiKey

SORT_KEY = "KEY"
KIND = "API_KEY"


class DynamoApiKeyStore(TableReads):
    """See ApiKeyStore."""

    def get(self, key_id: str) -> ApiKey | None:
        item = self._get(_partition(key_id), SORT_KEY)
        return _read(item) if item else None

    def put_new(self, key: ApiKey) -> None:
        # Unconditional: the id is 64 random bits, and a repeat of a lost write is the same item.
        item = to_item(
            {
                "kind": KIND,
                "kind_sort": key.id,
                "name": key.name,
                "scopes": sorted(key.scopes),
                "digest": key.digest,
                "created_at": key.created_at,
                "rate_limit": key.rate_limit,
            }
        )
        put = {"TableName": self._table, "Item": {**_key(key.id), **item}}
        retrying(lambda: self._client.put_item(**put))

    def revoke(self, key_id: str, at: datetime) -> None:
        change = "SET revoked_at = if_not_exists(revoked_at, :at)"
        self._update(key_id, change, {":at": utc_text(at)})

    def set_rate_limit(self, key_id: str, rate_limit: int | None) -> None:
        if rate_limit is None:
            self._update(key_id, "REMOVE rate_limit", {})
        else:
            self._update(key_id, "SET rate_limit = :limit", {":limit": rate_limit})

    def _update(self, key_id: str, change: str, values: Mapping[str, object]) -> None:
        update: dict[str, Any] = {
            "TableName": self._table,
            "Key": _key(key_id),
            "UpdateExpression": change,
            "ConditionExpression": "attribute_exists(pk)",
        }
        if values:
            update["ExpressionAttributeValues"] = to_item(values)
        try:
            retrying(lambda: self._client.update_item(**update))
        except ConditionFailedError as error:
            raise NotFoundError(f"There is no key {key_id}.") from error

    def all(self) -> Sequence[ApiKey]:
        return [_read(item) for item in self._all_of_kind(KIND)]


def _partition(key_id: str) -> str:
    return f"KEY#{key_id}"


def _key(key_id: str) -> Item:
    return to_item({"pk": _partition(key_id), "sk": SORT_KEY})


def _read(item: Mapping[str, Any]) -> ApiKey:
    stored = from_item(item)
    revoked_at, rate_limit = stored.get("revoked_at"), stored.get("rate_limit")
    return ApiKey(
        id=stored["pk"].removeprefix("KEY#"),
        name=stored["name"],
        scopes=frozenset(stored["scopes"]),
        digest=bytes(stored["digest"]),
        created_at=utc_time(stored["created_at"]),
        revoked_at=utc_time(revoked_at) if revoked_at else None,
        rate_limit=None if rate_limit is None else int(rate_limit),
    )
