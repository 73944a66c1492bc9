"""`meterline send`: usage events from a file or stdin. Sending the same file again is safe."""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cli.client import ApiError, Client, ClientError

MAX_BATCH_EVENTS = 500
MAX_BATCH_BYTES = 900_000  # of the 1 MiB that a request may have
SPACE = re.compile(r"\s*")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("send", help="send usage events", description=__doc__)
    parser.add_argument(
        "file", nargs="?", default="-", help="JSON array, single event or NDJSON; - is stdin"
    )
    parser.add_argument(
        "--batch", type=_batch_size, default=MAX_BATCH_EVENTS, help="events in a request, 1 to 500"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sends every event and prints how many were accepted, duplicates and unmetered."""
    events = list(parse_events(_read(arguments.file)))
    client = Client.from_environment()
    counts = {"accepted": 0, "duplicates": 0, "unmetered": 0}
    sent = 0
    for batch in batches(events, arguments.batch):
        try:
            answer = client.call("POST", "/v1/events", body=f"[{','.join(batch)}]".encode())
        except ApiError as error:
            _print_counts(counts)
            raise refusal(error, sent, len(batch)) from error
        counts = {name: count + answer[name] for name, count in counts.items()}
        sent += len(batch)
    _print_counts(counts)
    return 0


def parse_events(text: str) -> Iterator[str]:
    """Each event's own JSON text, untouched, so that no number loses a digit on its way.

    Raises: ClientError where the text is not JSON.
    """
    decoder = json.JSONDecoder()
    at = _skip_space(text, 0)
    in_array = text[at : at + 1] == "["
    if in_array:
        at = _skip_space(text, at + 1)
        if text[at : at + 1] == "]":
            return
    while at < len(text):
        try:
            _, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError) as error:
            line = text.count("\n", 0, at) + 1
            raise ClientError(f"the event at line {line} is not JSON") from error
        yield text[at:end]
        at = _skip_space(text, end)
        if in_array:
            if text[at : at + 1] == "]":
                return
            at = _skip_space(text, at + 1) if text[at : at + 1] == "," else len(text)
    if in_array:
        raise ClientError("the array of events is cut short")


def batches(events: Sequence[str], size: int) -> Iterator[list[str]]:
    """The events in order, in batches that a request can take."""
    batch: list[str] = []
    length = 0
    for event in events:
        bytes_more = len(event.encode()) + 1
        if batch and (len(batch) == size or length + bytes_more > MAX_BATCH_BYTES):
            yield batch
            batch, length = [], 0
        batch.append(event)
        length += bytes_more
    if batch:
        yield batch


def refusal(error: ApiError, before: int, size: int) -> ClientError:
    """The refusal of a batch, its pointers turned into the events' places in the whole file."""
    lines = [f"events {before + 1} to {before + size}: {error.status} {error.code}: {error.detail}"]
    for problem in error.errors:
        match = re.match(r"/(\d+)(.*)", problem["pointer"])
        place = f"event {before + int(match[1]) + 1}{match[2]}" if match else problem["pointer"]
        lines.append(f"  {place}  {problem['code']}")
    lines.append("Put it right and send the file again: what was accepted counts once.")
    return ClientError("\n".join(lines))


def _read(name: str) -> str:
    content = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ClientError("events are JSON in UTF-8") from error


def _print_counts(counts: dict[str, int]) -> None:
    print(", ".join(f"{count} {name}" for name, count in counts.items()))


def _skip_space(text: str, at: int) -> int:
    match = SPACE.match(text, at)
    return match.end() if match else at


def _batch_size(text: str) -> int:
    size = int(text)
    if not 1 <= size <= MAX_BATCH_EVENTS:
        raise argparse.ArgumentTypeError(f"1 to {MAX_BATCH_EVENTS}")
    return size
