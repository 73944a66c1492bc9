"""Conditional requests (RFC 9110): `ETag` on what is read, `If-Match` on what would replace it."""

import hashlib
import re
from collections.abc import Mapping

from shared.domain.errors import PreconditionFailedError
from shared.wire.common import WireModel

TAG_DIGITS = 32
_ENTITY_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ENTITY_TAGS = re.compile(rf"{_ENTITY_TAG}(?:[ \t]*,[ \t,]*{_ENTITY_TAG})*")


def entity_tag(current: WireModel) -> str:
    """A strong validator: the same as long as every member of the answer is that a PUT replaces."""
    content = current.model_dump_json(exclude=set(current.untagged))
    return f'"{hashlib.sha256(content.encode()).hexdigest()[:TAG_DIGITS]}"'


def require_match(headers: Mapping[str, str], current: WireModel | None) -> None:
    """Refuse a write whose `If-Match` does not name what is there; None is nothing there.

    Tags are compared strongly: a weak one matches nothing. Header names are lower-case.
    Raises: PreconditionFailedError.
    """
    wanted = headers.get("if-match")
    if wanted is None:
        return
    if current is not None and (wanted.strip() == "*" or entity_tag(current) in _tags(wanted)):
        return
    raise PreconditionFailedError("It is not what If-Match names: read it again.")


def _tags(text: str) -> list[str]:
    """The entity tags of the header; none where it is no list of them."""
    return re.findall(_ENTITY_TAG, text) if _ENTITY_TAGS.fullmatch(text.strip(" \t,")) else []
