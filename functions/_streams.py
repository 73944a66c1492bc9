"""Stream records as Lambda delivers them: images are JSON, with bytes in base64."""

import base64
from collections.abc import Mapping
from typing import Any

from shared.domain.errors import MeterlineError


class ShardUnknownError(MeterlineError):
    """The event names no shard, so counting once cannot be promised: the batch is refused."""

    code = "shard-unknown"


def shard_of(event: Mapping[str, Any]) -> str:
    """The shard that the batch comes from; only mappings with a tumbling window say it.

    Raises: ShardUnknownError.
    """
    shard = event.get("shardId")
    if not isinstance(shard, str) or not shard:
        raise ShardUnknownError("the event has no shardId: is the tumbling window set?")
    return shard


def decode_image(image: Mapping[str, Any]) -> dict[str, Any]:
    """An item image with its bytes as bytes, as the database's own client would give it."""
    return {name: _decode(attribute) for name, attribute in image.items()}


def _decode(attribute: Mapping[str, Any]) -> dict[str, Any]:
    [(kind, value)] = attribute.items()
    match kind:
        case "B":
            return {"B": base64.b64decode(value) if isinstance(value, str) else value}
        case "M":
            return {"M": decode_image(value)}
        case "L":
            return {"L": [_decode(member) for member in value]}
        case _:
            return {kind: value}
