"""Consistent reads of many items."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from shared.adapters.dynamodb.errors import retrying

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

T = TypeVar("T")

MAX_KEYS_PER_REQUEST = 100


def chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """The items in lists of at most `size`, in order."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def batch_get(
    client: "DynamoDBClient",
    table: str,
    keys: Iterable[tuple[str, str]],
    attributes: Sequence[str] = (),
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """The items that exist among these (pk, sk), read consistently.

    With `attributes`, only these and the keys.
    """
    names = {f"#{index}": name for index, name in enumerate(("pk", "sk", *attributes))}
    projection = {
        "ProjectionExpression": ",".join(names),
        "ExpressionAttributeNames": names,
    }
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for chunk in chunks(dict.fromkeys(keys), MAX_KEYS_PER_REQUEST):
        left: Any = [{"pk": {"S": pk}, "sk": {"S": sk}} for pk, sk in chunk]
        while left:
            wanted = {"Keys": left, "ConsistentRead": True, **(projection if attributes else {})}
            request: Any = {"RequestItems": {table: wanted}}
            answer: Any = retrying(partial(client.batch_get_item, **request))
            for item in answer["Responses"].get(table, []):
                found[item["pk"]["S"], item["sk"]["S"]] = item
            left = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
    return found
