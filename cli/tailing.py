"""`meterline events tail`: a customer's events as they arrive, each with what became of it.

An event is shown once, and once more if it is set aside afterwards. Events are noticed
that happened up to --window before the newest one; `events list` finds what arrives later.

Example: meterline events tail acme --type chat.message
"""

import argparse
import sys
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.client import Client, ClientError, UnreachableError, exit_status
from cli.listing import add_filters, asked, row_of
from cli.numbers import duration, positive
from cli.output import add_output
from cli.text import printable
from shared.domain.events import canonical_json

PAGE_EVENTS = "200"

Event = Mapping[str, Any]


class Tail:
    """Tells new events from those known, though every look at the list covers some again.

    Looks overlap because an event may appear between older ones, and later than it was stored.
    """

    def __init__(self, window: timedelta) -> None:
        self._window = window
        self._horizon = datetime.min.replace(tzinfo=UTC)
        self._known: dict[tuple[str, str], tuple[datetime, str]] = {}

    def fresh(self, newest_first: Iterable[Event]) -> list[Event]:
        """What was not known, oldest first. Reads the list as far as the window reaches.

        Where reading fails on the way, nothing becomes known: the next look finds it again.
        """
        found: list[Event] = []
        seen = dict(self._known)
        for event in newest_first:
            at = datetime.fromisoformat(event["time"])
            self._horizon = max(self._horizon, at - self._window)
            if at < self._horizon:
                break
            key, fate = (event["source"], event["id"]), (at, event["status"])
            if seen.get(key) != fate:
                seen[key] = fate
                found.append(event)
        self._known = {k: v for k, v in seen.items() if v[0] >= self._horizon}
        return found[::-1]


def register(actions: "argparse._SubParsersAction[Any]") -> None:
    """Adds the action to those of `meterline events`."""
    action = actions.add_parser(
        "tail",
        help="events as they arrive, until interrupted",
        description=__doc__,
    )
    add_filters(action)
    action.add_argument(
        "--lines", type=positive, default=10, help="how many to begin with; default: 10"
    )
    action.add_argument(
        "--window", type=duration, default="1h", help="how far back late ones are noticed; 1h"
    )
    action.add_argument(
        "--interval", type=duration, default="2s", help="between two looks, at least; 2s"
    )
    add_output(action, ("table", "json"))
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints a line for each event, until interrupted."""
    client, tail = Client.from_environment(), Tail(arguments.window)
    query = {**asked(arguments), "limit": PAGE_EVENTS}
    _print(tail.fresh(client.pages("/v1/events", query, exact=True))[-arguments.lines :], arguments)
    took_seconds = 0.0
    while True:
        # A slow system is given as long a rest as the last look took.
        time.sleep(max(arguments.interval.total_seconds(), took_seconds))
        started = time.monotonic()
        try:
            fresh = tail.fresh(client.pages("/v1/events", query, exact=True))
        except ClientError as error:
            if exit_status(error) != UnreachableError.exit_status:
                raise
            print(f"{error}; still trying", file=sys.stderr)
            continue
        finally:
            took_seconds = time.monotonic() - started
        _print(fresh, arguments)


def _print(events: Iterable[Event], arguments: argparse.Namespace) -> None:
    for event in events:
        text = canonical_json(event) if arguments.output == "json" else _line(event)
        print(text, flush=True)


def _line(event: Event) -> str:
    return printable("  ".join(filter(None, row_of(event))))
