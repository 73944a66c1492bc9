"""Reading a request's body: content type, encoding, size, and then JSON in the strict sense."""

import zlib
from collections.abc import Mapping, Sequence

from shared.domain.errors import MalformedError
from shared.wire import strict_json
from shared.wire.common import TooLargeError, UnsupportedMediaTypeError

MAX_BODY_BYTES = 2**20


def read_json(
    headers: Mapping[str, str], body: bytes, content_types: Sequence[str]
) -> strict_json.Json:
    """The JSON document in the body, at most 1 MiB after inflating. Header names are lower-case.

    Raises: UnsupportedMediaTypeError, TooLargeError, MalformedError, InvalidError.
    """
    return strict_json.loads(read_bytes(headers, body, content_types))


def read_bytes(headers: Mapping[str, str], body: bytes, content_types: Sequence[str]) -> bytes:
    """The body, inflated, of one of the content types and in UTF-8 as far as the sender says.

    Raises: UnsupportedMediaTypeError, TooLargeError, MalformedError.
    """
    media_type, _, parameters = headers.get("content-type", "").partition(";")
    charset = parameters.strip().lower().replace('"', "")
    if media_type.strip().lower() not in content_types or charset not in ("", "charset=utf-8"):
        raise UnsupportedMediaTypeError(f"Send {' or '.join(content_types)} in UTF-8.")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity", "gzip"):
        raise UnsupportedMediaTypeError("Send the body as it is or in gzip, encoded once.")
    if len(body) <= MAX_BODY_BYTES and encoding == "gzip":
        body = inflate(body)
    if len(body) > MAX_BODY_BYTES:
        raise TooLargeError(f"A body has at most {MAX_BODY_BYTES} bytes after inflating.")
    return body


def inflate(compressed: bytes) -> bytes:
    """What the gzip member holds, cut off one byte past the limit: a bomb is never inflated.

    Raises: MalformedError.
    """
    stream = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        data = stream.decompress(compressed, MAX_BODY_BYTES + 1)
    except zlib.error as error:
        raise MalformedError("The body is not gzip.") from error
    if len(data) <= MAX_BODY_BYTES and (not stream.eof or stream.unused_data):
        raise MalformedError("The gzip body is cut short or has something after it.")
    return data
