"""The AWS emulator with what it lacks, so that functions meet what they meet on AWS.

Run by path, so that nothing of this repository is on the emulator's own module path.
"""

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from ministack import app
from ministack.services import apigateway, dynamodb

OK = 200

# An INSERT in PartiQL makes the same stream record as PutItem; the emulator makes none.

insert_item = dynamodb._partiql_insert


def insert_and_emit(table: Mapping[str, Any], parsed: Mapping[str, Any]) -> tuple[int, Any, Any]:
    """Stores the item and puts its record on the stream."""
    answer: tuple[int, Any, Any] = insert_item(table, parsed)
    if answer[0] == OK:
        item = parsed["item"]
        item = item["M"] if set(item) == {"M"} else item
        dynamodb._emit_stream_event(parsed["table"], "INSERT", None, item)
    return answer


dynamodb._partiql_insert = insert_and_emit

# API Gateway passes bytes that are not text, such as gzip, in base64 whatever their content type
# says; the emulator goes by the type alone and replaces what it cannot decode.

invoke_function = apigateway._invoke_lambda_proxy
has_text_type = apigateway._v2_request_body_is_text
body_is_text: ContextVar[bool] = ContextVar("body_is_text", default=True)


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


async def invoke_with_body(*arguments: Any, **named: Any) -> Any:
    """Notes whether the body (the seventh argument) is text before the event is made of it."""
    body_is_text.set(_is_utf8(arguments[6] or b""))
    return await invoke_function(*arguments, **named)


def may_pass_as_text(content_type: str | None) -> bool:
    """Whether the event carries the body as it is."""
    return bool(has_text_type(content_type)) and body_is_text.get()


apigateway._invoke_lambda_proxy = invoke_with_body
apigateway._v2_request_body_is_text = may_pass_as_text

invoke_function = apigateway._invoke_lambda_proxy
declared_as_text = apigateway._v2_request_body_is_text
body_is_utf8: ContextVar[bool] = ContextVar("body_is_utf8", default=True)


async def invoke_with_exact_body(*arguments: Any, **options: Any) -> Any:
    """Calls the function behind a route, noting whether the body can be passed as text."""
    body = arguments[6]
    try:
        (body or b"").decode()
    except UnicodeDecodeError:
        body_is_utf8.set(False)
    else:
        body_is_utf8.set(True)
    return await invoke_function(*arguments, **options)


def is_text(content_type: str | None) -> bool:
    """Whether the request's body goes to the function as text."""
    return body_is_utf8.get() and bool(declared_as_text(content_type))


apigateway._invoke_lambda_proxy = invoke_with_exact_body
apigateway._v2_request_body_is_text = is_text

if __name__ == "__main__":
    app.main()
