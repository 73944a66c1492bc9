"""JSON is read in its one plain meaning, or refused before anything costly happens."""

import time
from decimal import Decimal

import pytest

from shared.domain.errors import InvalidError, MalformedError, Problem
from shared.wire.strict_json import MAX_DEPTH, loads


def nested(depth: int, inner: str = "") -> bytes:
    return ("[" * depth + inner + "]" * depth).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b'{"a":1',
        b'{"a":1,}',
        b"[1,]",
        b"{} {}",
        b'{"a":1,"a":1}',
        b'[{"b":{"a":1,"\\u0061":2}}]',
        b"NaN",
        b"[Infinity]",
        b'{"a":-Infinity}',
        b"1" * 5000,
        b"1." + b"0" * 5000,
        b"1e" + b"9" * 5000,
        b"01",
        b"+1",
        b".5",
        b"'a'",
        b'"\t"',
        b"\xef\xbb\xbf{}",
        b"\xff",
        b'"\xed\xa0\x80"',
        '{"a":1}'.encode("utf-16"),
        '{"a":1}'.encode("utf-16-le"),
        b"{}\0",
        nested(MAX_DEPTH + 1),
        nested(MAX_DEPTH + 1, "1"),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        nested(100_000),
        b"[" * 100_000,
    ],
    ids=lambda raw: repr(raw[:16]),
)
def test_malformed(raw: bytes) -> None:
    started = time.monotonic()
    with pytest.raises(MalformedError):
        loads(raw)
    assert time.monotonic() - started < 1


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a":[1,true,null,"x"]}', {"a": [1, True, None, "x"]}),
        (b"0.1", Decimal("0.1")),
        (b"1E2", Decimal(100)),
        (b"-0", 0),
        (b"9" * 38, 10**38 - 1),
        (b"1e125", Decimal("1e125")),
        (b"1e-130", Decimal("1e-130")),
        (b"0e5", Decimal(0)),
        (b'"\\ud83d\\ude00"', "\U0001f600"),
    ],
)
def test_plain_meaning(raw: bytes, value: object) -> None:
    assert loads(raw) == value


def test_depth_at_the_limit() -> None:
    assert loads(nested(MAX_DEPTH, "1"))


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b'{"a":[0,1e126]}', Problem("/a/1", "number-out-of-range")),
        (b'{"a":1e-131}', Problem("/a", "number-out-of-range")),
        (b'{"a":1e999999999}', Problem("/a", "number-out-of-range")),
        (b'{"a":-1e99999999999999999999999}', Problem("/a", "number-out-of-range")),
        (b'{"a":' + b"1" * 39 + b"}", Problem("/a", "number-out-of-range")),
        (b'{"a":0.' + b"1" * 39 + b"}", Problem("/a", "number-out-of-range")),
        (b'{"a/b":{"~":1e126}}', Problem("/a~1b/~0", "number-out-of-range")),
        (b'[{"id":"\\ud800"}]', Problem("/0/id", "lone-surrogate")),
        (b'{"\\udc00":1}', Problem("", "forbidden-name")),
        (b'{"a":{"__proto__":{}}}', Problem("/a", "forbidden-name")),
        (b'{"\\u005f_proto__":1}', Problem("", "forbidden-name")),
    ],
)
def test_pointed_at(raw: bytes, problem: Problem) -> None:
    started = time.monotonic()
    with pytest.raises(InvalidError) as refusal:
        loads(raw)
    assert refusal.value.problems == (problem,)
    assert time.monotonic() - started < 1
