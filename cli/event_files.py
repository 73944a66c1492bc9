"""Events from a file, each as its own JSON text, so that no number loses a digit on its way.

JSON is a single event, an array, or one event after the other (NDJSON). CSV has a header: the
columns `id`, `source`, `type`, `subject` and `time` are the event's, every other one is data.
"""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from cli.client import ClientError
from shared.domain.errors import InvalidError, MalformedError
from shared.domain.events import canonical_json
from shared.wire import strict_json

ATTRIBUTES = ("id", "source", "type", "subject", "time")
ID_CHARACTERS = 32
SPACE = re.compile(r"\s*")
# A cell that is a plain decimal number is sent as one; anything else, such as 007, is text.
NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong at a line of the file: `pointer` into its event, and a stable code."""

    line: int
    pointer: str
    code: str


@dataclass(frozen=True, slots=True)
class Row:
    """One event of the file: the line that it begins on, and its JSON text."""

    line: int
    text: str


@dataclass
class Completion:
    """Fills in what a row lacks.

    An id is made from the event itself and from how many equal ones came before it in the file:
    the same file always makes the same ids, and so do its rows after others were added or mended.
    """

    defaults: Mapping[str, str]
    _equal: Counter[str] = field(default_factory=Counter)

    def complete(self, row: Row) -> Row | Refusal:
        """The row with `specversion`, the defaults and an id; or why it cannot be an event."""
        try:
            event = strict_json.loads(row.text.encode(errors="surrogatepass"))
        except MalformedError:
            return Refusal(row.line, "", "malformed-json")
        except InvalidError as error:
            return Refusal(row.line, error.problems[0].pointer, error.problems[0].code)
        if not isinstance(event, dict):
            return Refusal(row.line, "", "not-an-object")
        missing = {"specversion": "1.0", **self.defaults}
        missing = {name: value for name, value in missing.items() if name not in event}
        if "id" not in event:
            missing["id"] = self._id({**event, **missing})
        members = json.dumps(missing)[1:-1]
        rest = row.text.strip()[1:].lstrip()
        separator = ", " if members and rest != "}" else ""
        return Row(row.line, "{" + members + separator + rest)

    def _id(self, event: Mapping[str, object]) -> str:
        text = canonical_json(event)
        self._equal[text] += 1
        digest = hashlib.sha256(f"{text}#{self._equal[text]}".encode())
        return digest.hexdigest()[:ID_CHARACTERS]


def decode(content: bytes) -> str:
    """The file's text; a byte order mark is left out.

    Raises: ClientError naming the line that is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ClientError(f"line {line} is not UTF-8") from error


def json_rows(text: str) -> Iterator[Row | Refusal]:
    """The events of JSON text. After a line that is none, the next one is read.

    Raises: ClientError where an array is broken, as nothing says where it goes on.
    """
    decoder = json.JSONDecoder()
    at = _skip_space(text, 0)
    in_array = text[at : at + 1] == "["
    if in_array:
        at = _skip_space(text, at + 1)
    line, counted = 1, 0
    while at < len(text):
        if in_array and text[at] == "]":
            if _skip_space(text, at + 1) < len(text):
                raise ClientError("something follows the array of events")
            return
        line, counted = line + text.count("\n", counted, at), at
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            if in_array:
                raise ClientError(f"the event at line {line} is not JSON") from error
            yield Refusal(line, "", "malformed-json")
            following = text.find("\n", at)
            at = len(text) if following < 0 else _skip_space(text, following)
            continue
        yield Row(line, text[at:end])
        at = _skip_space(text, end)
        if in_array and text[at : at + 1] != "]":
            at = _skip_space(text, at + 1) if text[at : at + 1] == "," else len(text)
    if in_array:
        raise ClientError("the array of events is cut short")


def csv_rows(text: str, columns: Mapping[str, str]) -> Iterator[Row | Refusal]:
    """The events of CSV text. `columns` says which attribute the column of a name holds.

    An empty cell is left out. Raises: ClientError for a header that cannot be used.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        header = next(reader, [])
        names = _attributes(header, columns)
        line = reader.line_num + 1
        for cells in reader:
            if len(cells) not in (0, len(header)):
                yield Refusal(line, "", "wrong-number-of-cells")
            elif any(cells):
                yield Row(line, _event_text(names, cells))
            line = reader.line_num + 1
    except csv.Error as error:
        raise ClientError(f"line {line} is not CSV: {error}") from error


def _attributes(header: list[str], columns: Mapping[str, str]) -> list[str]:
    """The event's attribute that each column holds, or else `data.` and the column's name."""
    names = [columns.get(name, name) for name in map(str.strip, header)]
    if unknown := columns.keys() - set(map(str.strip, header)):
        raise ClientError(f"line 1: no column is called {', '.join(sorted(unknown))}")
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated or not all(names):
        raise ClientError(f"line 1: each column has a name of its own: {', '.join(repeated)}")
    return [name if name in ATTRIBUTES else f"data.{name}" for name in names]


def _event_text(names: Iterable[str], cells: Iterable[str]) -> str:
    attributes, data = [], []
    for name, cell in zip(names, cells, strict=True):
        if not cell:
            continue
        if name in ATTRIBUTES:
            attributes.append(f"{json.dumps(name)}: {json.dumps(cell)}")
        else:
            value = cell if NUMBER.fullmatch(cell) else json.dumps(cell)
            data.append(f"{json.dumps(name.removeprefix('data.'))}: {value}")
    return "{" + ", ".join([*attributes, f'"data": {{{", ".join(data)}}}']) + "}"


def _skip_space(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at
