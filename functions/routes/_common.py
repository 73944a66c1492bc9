"""What several routes need of a request: its pages, its idempotency key, what it accepts."""

import hashlib
from collections.abc import Callable, Mapping
from typing import TypeVar

from pydantic import BaseModel

from functions._http import Request
from functions._runtime import Runtime
from functions._validation import idempotency_key
from shared.domain.errors import NotFoundError
from shared.domain.events import canonical_json
from shared.services.idempotency import MoneyWrite
from shared.wire.common import Page, PageQuery

Entry = TypeVar("Entry")
View = TypeVar("View")

# A function's whole answer has at most 6 MB.
MAX_PAGE_BYTES = 4 * 2**20


def page_that_fits(limit: int, render: Callable[[int], tuple[str, int]]) -> str:
    """A page of a list as JSON, of fewer items than `limit` where one answer cannot hold them.

    `render` makes the page of at most as many items as it is told, and says how many these are.
    """
    text, count = render(limit)
    while (size := answer_bytes(text)) > MAX_PAGE_BYTES:
        if count <= 1:
            break
        text, count = render(max(1, count * MAX_PAGE_BYTES // size))
    return text


def answer_bytes(text: str) -> int:
    """What an answer of this text takes of what a function may answer with.

    The gateway takes the text as a string in JSON, where a quote or a backslash is two bytes.
    """
    return len(text.encode()) + text.count('"') + text.count("\\")


def open_cursor(runtime: Runtime, request: Request, cursor: str | None) -> str | None:
    """The position that `seal_cursor` gave out for the same list.

    Raises: InvalidCursorError.
    """
    return None if cursor is None else runtime.cursors.open(_list(request), cursor)["after"]


def seal_cursor(runtime: Runtime, request: Request, position: str | None) -> str | None:
    """The position as a cursor that only this list, with the same filters, takes back."""
    return None if position is None else runtime.cursors.sign(_list(request), {"after": position})


def _list(request: Request) -> str:
    filters = {name: text for name, text in request.query if name not in ("cursor", "limit")}
    return canonical_json([request.path, filters])


def page_by_key(
    runtime: Runtime,
    request: Request,
    query: PageQuery,
    entries: Mapping[str, Entry],
    view: Callable[[Entry], View],
) -> Page[View]:
    """A page of what is all at hand, by key, from the one after the cursor's on.

    Raises: InvalidCursorError.
    """
    after = open_cursor(runtime, request, query.cursor) or ""
    rest = sorted(key for key in entries if key > after)
    keys = rest[: query.limit]
    last = keys[-1] if len(rest) > query.limit else None
    return Page(
        data=[view(entries[key]) for key in keys],
        next_cursor=seal_cursor(runtime, request, last),
    )


def money_write(request: Request, body: BaseModel | None = None) -> MoneyWrite:
    """The request as a write that happens once under its Idempotency-Key.

    Raises: IdempotencyKeyRequiredError, InvalidError for a key that is no plain text.
    """
    content = body.model_dump(mode="json") if body is not None else None
    asked = canonical_json([request.method, request.path, content])
    return MoneyWrite(
        customer=request.parameters["customer"],
        actor=request.principal,
        key=idempotency_key(request.headers),
        request_hash=hashlib.sha256(asked.encode()).hexdigest(),
    )


def hide_from_portal(request: Request) -> None:
    """Keep what operators wrote about a customer from the customer.

    Raises: NotFoundError.
    """
    if request.portal_customer:
        raise NotFoundError("No such resource.")


def accepts(request: Request, media_type: str) -> bool:
    """Whether the caller names the type in `Accept` without preferring JSON to it."""
    qualities = dict(map(_media_range, request.headers.get("accept", "").split(",")))
    return qualities.get(media_type, 0.0) > qualities.get("application/json", 0.0)


def _media_range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip().lower() for part in text.split(";"))
    given = [p.removeprefix("q=") for p in parameters if p.startswith("q=")]
    try:
        return name, float(given[0]) if given else 1.0
    except ValueError:
        return name, 0.0
