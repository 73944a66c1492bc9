"""`meterline customers`: who uses, by key, and their profiles."""

import argparse
from itertools import islice
from typing import Any
from uuid import uuid4

from cli.client import ApiError, Client, path
from cli.numbers import positive
from cli.output import add_output, show
from shared.wire.customers import CustomerBody

COLUMNS = ("key", "name", "email", "currency", "timezone", "traits", "archived_at")
PUT_EXAMPLE = """\
Only what is named changes; '' clears it.

Example: meterline customers put acme --name 'Acme Ltd' --trait segment=enterprise"""


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("customers", help="customers and profiles", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help=run_list.__doc__, description=run_list.__doc__)
    listing.add_argument("--segment", help="only those in this segment")
    listing.add_argument("--limit", type=positive, help="at most so many; default: all")
    add_output(listing)
    listing.set_defaults(run=run_list)
    for name, run in (("show", run_show), ("archive", run_archive), ("unarchive", run_unarchive)):
        action = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        action.add_argument("customer")
        add_output(action)
        action.set_defaults(run=run)
    _register_put(actions)


def _register_put(actions: "argparse._SubParsersAction[Any]") -> None:
    putting = actions.add_parser(
        "put",
        help=run_put.__doc__,
        description=run_put.__doc__,
        epilog=PUT_EXAMPLE,
    )
    putting.add_argument("customer")
    for option, words in (
        ("--name", "how people call it"),
        ("--email", "where it is written to"),
        ("--currency", "such as USD; for good once anything is billed"),
        ("--timezone", "an IANA name such as Europe/Berlin"),
        ("--test-clock", "the clock that a new customer lives by"),
    ):
        putting.add_argument(option, help=words)
    putting.add_argument(
        "--trait", type=trait, action="append", default=[], metavar="NAME=VALUE",
        help="a trait, which segments ask for; NAME= removes it; repeat it for more",
    )  # fmt: skip
    add_output(putting)
    putting.set_defaults(run=run_put)


def run_list(arguments: argparse.Namespace) -> int:
    """Every customer by key, or those of a segment."""
    query = {"limit": "1000", "segment": arguments.segment}
    pages = Client.from_environment().pages("/v1/customers", query)
    return _show(arguments, list(islice(pages, arguments.limit)))


def run_show(arguments: argparse.Namespace) -> int:
    """One customer's profile."""
    return _show(arguments, Client.from_environment().call("GET", _place(arguments)))


def run_put(arguments: argparse.Namespace) -> int:
    """Make a customer, or change its profile."""
    client, place = Client.from_environment(), _place(arguments)
    try:
        known = client.call("GET", place)
    except ApiError as error:
        if error.status != 404:
            raise
        known = {}
    # The clock is chosen once; everything else is kept unless it is named.
    members = CustomerBody.model_fields.keys() - {"test_clock"}
    body = {name: value for name, value in known.items() if name in members}
    for name in ("name", "email", "currency", "timezone", "test_clock"):
        if (value := getattr(arguments, name)) is not None:
            body[name] = value or None
    if body.get("timezone", "") is None:
        del body["timezone"]
    traits = {**body.get("traits", {}), **dict(arguments.trait)}
    body["traits"] = {name: value for name, value in traits.items() if value}
    return _show(arguments, client.call("PUT", place, body=body))


def run_archive(arguments: argparse.Namespace) -> int:
    """Refuse new events of a customer; what was used stays and is billed."""
    return _archive(arguments, "archive")


def run_unarchive(arguments: argparse.Namespace) -> int:
    """Take events of an archived customer again."""
    return _archive(arguments, "unarchive")


def _archive(arguments: argparse.Namespace, action: str) -> int:
    place = f"{_place(arguments)}/{action}"
    headers = {"Idempotency-Key": str(uuid4())}
    return _show(arguments, Client.from_environment().call("POST", place, headers=headers))


def _place(arguments: argparse.Namespace) -> str:
    return path("/v1/customers/{customer}", customer=arguments.customer)


def _show(arguments: argparse.Namespace, answer: Any) -> int:
    found = answer if isinstance(answer, list) else [answer]
    rows = [[customer[name] for name in COLUMNS] for customer in found]
    show(arguments.output, answer, COLUMNS, rows, "no customers")
    return 0


def trait(text: str) -> tuple[str, str]:
    """The name and value of NAME=VALUE."""
    name, found, value = text.partition("=")
    if not name or not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
