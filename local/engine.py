"""The AWS emulator with what it lacks. Run by path, so that nothing of ours is on its module path.

An INSERT in PartiQL reaches the table's stream: the emulator stores such an item without a stream
record, where DynamoDB makes the same one as for PutItem. And a request body that is no UTF-8 text,
such as a compressed one, reaches the function in base64 whatever its content type says: the
emulator would replace the bytes that it cannot read.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from ministack import app
from ministack.services import apigateway, dynamodb

OK = 200
BODY = 6  # the place of the request's body among the arguments
insert_item = dynamodb._partiql_insert
invoke_function = apigateway._invoke_lambda_proxy
has_text_type = apigateway._v2_request_body_is_text
body_is_utf8: ContextVar[bool] = ContextVar("body_is_utf8", default=True)


def insert_and_emit(table: Mapping[str, Any], parsed: Mapping[str, Any]) -> tuple[int, Any, Any]:
    """Stores the item and puts its record on the stream."""
    answer: tuple[int, Any, Any] = insert_item(table, parsed)
    if answer[0] == OK:
        item = parsed["item"]
        item = item["M"] if set(item) == {"M"} else item
        dynamodb._emit_stream_event(parsed["table"], "INSERT", None, item)
    return answer


async def invoke_with_exact_body(*arguments: Any, **options: Any) -> Any:
    """Calls the function behind a route, noting whether the body can be passed as text."""
    try:
        (arguments[BODY] or b"").decode()
    except UnicodeDecodeError:
        body_is_utf8.set(False)
    else:
        body_is_utf8.set(True)
    return await invoke_function(*arguments, **options)


def passes_as_text(content_type: str | None) -> bool:
    """Whether the request's body goes to the function as text."""
    return body_is_utf8.get() and bool(has_text_type(content_type))


dynamodb._partiql_insert = insert_and_emit
apigateway._invoke_lambda_proxy = invoke_with_exact_body
apigateway._v2_request_body_is_text = passes_as_text

if __name__ == "__main__":
    app.main()
