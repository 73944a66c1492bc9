"""`meterline invoice`: the upcoming invoice as it stands, those issued, and one of them."""

import argparse
import json
from typing import Any

from cli.client import Client, path
from cli.text import invoice_text, table
from shared.domain.events import canonical_json


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("invoice", help="invoices of a customer", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, argument, run, words in (
        ("upcoming", "customer", run_upcoming, "what closing the period now would bill"),
        ("list", "customer", run_list, "the customer's invoices, newest first"),
        ("show", "invoice", run_show, "one invoice by its id"),
    ):
        action = actions.add_parser(name, help=words)
        action.add_argument(argument)
        action.add_argument("--json", action="store_true", help="the answer as it is")
        action.set_defaults(run=run)
    words = "the finalized document, whole, as `meterline verify` reads it"
    action = actions.add_parser("export", help=words, description=words)
    action.add_argument("invoice")
    action.set_defaults(run=run_export)


def run_export(arguments: argparse.Namespace) -> int:
    """Prints the document in its canonical form, the one that its hash is of."""
    where = path("/v1/invoices/{invoice}", invoice=arguments.invoice)
    print(canonical_json(Client.from_environment().call("GET", where)))
    return 0


def run_upcoming(arguments: argparse.Namespace) -> int:
    """Prints the draft."""
    where = path("/v1/customers/{customer}/invoices/upcoming", customer=arguments.customer)
    return _print(Client.from_environment().call("GET", where), arguments)


def run_show(arguments: argparse.Namespace) -> int:
    """Prints the invoice."""
    where = path("/v1/invoices/{invoice}", invoice=arguments.invoice)
    return _print(Client.from_environment().call("GET", where), arguments)


def run_list(arguments: argparse.Namespace) -> int:
    """Prints one row for each invoice."""
    where = path("/v1/customers/{customer}/invoices", customer=arguments.customer)
    invoices = list(Client.from_environment().pages(where))
    if arguments.json:
        print(json.dumps(invoices, indent=2))
        return 0
    rows = [
        [i["id"], i["number"], i["period"]["end"][:10], i["status"], i["currency"], i["total"]]
        for i in invoices
    ]
    headings = ["id", "number", "until", "status", "currency", "total"]
    print(table(headings, rows) if rows else "no invoices")
    return 0


def _print(document: dict[str, Any], arguments: argparse.Namespace) -> int:
    print(json.dumps(document, indent=2) if arguments.json else invoice_text(document))
    return 0
