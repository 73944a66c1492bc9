"""Cursors of lists: where the next page starts, signed, so that nobody else can make one."""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Mapping

from shared.domain.errors import MalformedError

SIGNATURE_BYTES = 16


class InvalidCursorError(MalformedError):
    """A cursor that this API did not give out for this list (400)."""

    code = "invalid-cursor"


class Cursors:
    """Signs positions within a list. `purpose` names the list, its customer and its filters."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, purpose: str, position: Mapping[str, str]) -> str:
        """The position as opaque text."""
        content = json.dumps(position, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._signature(purpose, content) + content).decode()

    def open(self, purpose: str, cursor: str) -> dict[str, str]:
        """The position that `sign` wrote for the same purpose.

        Raises: InvalidCursorError.
        """
        try:
            raw = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidCursorError("The cursor is not one of this list.") from error
        signature, content = raw[:SIGNATURE_BYTES], raw[SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(purpose, content)):
            raise InvalidCursorError("The cursor is not one of this list.")
        position: dict[str, str] = json.loads(content)
        return position

    def _signature(self, purpose: str, content: bytes) -> bytes:
        message = purpose.encode() + b"\0" + content
        return hmac.digest(self._key, message, hashlib.sha256)[:SIGNATURE_BYTES]
