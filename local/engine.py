"""The AWS emulator with what it lacks: an INSERT in PartiQL reaches the table's stream.

The emulator stores such an item without a stream record, where DynamoDB makes the same one as for
PutItem. Run by path, so that nothing of this repository is on the emulator's own module path.
"""

from collections.abc import Mapping
from typing import Any

from ministack import app
from ministack.services import dynamodb

OK = 200
insert_item = dynamodb._partiql_insert  # noqa: SLF001


def insert_and_emit(table: Mapping[str, Any], parsed: Mapping[str, Any]) -> tuple[int, Any, Any]:
    """Stores the item and puts its record on the stream."""
    answer: tuple[int, Any, Any] = insert_item(table, parsed)
    if answer[0] == OK:
        item = parsed["item"]
        item = item["M"] if set(item) == {"M"} else item
        dynamodb._emit_stream_event(parsed["table"], "INSERT", None, item)  # noqa: SLF001
    return answer


dynamodb._partiql_insert = insert_and_emit  # noqa: SLF001

if __name__ == "__main__":
    app.main()
