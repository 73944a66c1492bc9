"""`meterline price`: what a price comes to for some usage, part by part."""

import argparse
import json
from pathlib import Path
from typing import Any

from cli.client import Client, UsageError
from cli.output import add_output, show


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("price", help=run.__doc__, description=run.__doc__)
    parser.add_argument("price", metavar="PRICE", help="as in the catalogue: JSON, or its file")
    parser.add_argument("values", metavar="VALUE", nargs="+", help="the usage of an event each")
    parser.add_argument("--currency", help="also round to the minor unit of this currency")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Show what a price comes to for some usage, part by part."""
    body: dict[str, Any] = {"price": _price(arguments.price)}
    if len(arguments.values) == 1:
        body["quantity"] = arguments.values[0]
    else:
        body["events"] = [{"value": value} for value in arguments.values]
    if arguments.currency:
        body["currency"] = arguments.currency
    answer = Client.from_environment().call("POST", "/v1/pricing/preview", body=body)
    rows = [[d["component"], d["tier"], d["units"], d["amount"]] for d in answer["details"]]
    rows.append(["total", None, None, answer["amount"]])
    if answer["rounded"] is not None:
        rows.append([f"in {arguments.currency}", None, None, answer["rounded"]])
    show(arguments.output, answer, ["part", "tier", "units", "amount"], rows)
    return 0


def _price(text: str) -> Any:
    """The JSON itself, or what a file of that name holds; numbers keep every digit."""
    try:
        written = text if text.lstrip().startswith("{") else Path(text).read_text()
        return json.loads(written, parse_float=str)
    except OSError as error:
        raise UsageError(f"cannot read {text}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"the price is no JSON: {error}") from error
