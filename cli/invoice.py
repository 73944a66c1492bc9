"""`meterline invoice`: the upcoming invoice as it stands, those issued, and one of them."""

import argparse
from typing import Any

from cli.client import Client, path
from cli.output import add_output, show
from cli.text import invoice_text
from shared.domain.events import canonical_json

LINE_COLUMNS = ("n", "type", "description", "quantity", "included", "unit_amount", "unit", "amount")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("invoice", help="invoices of a customer", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, argument, run, words in (
        ("upcoming", "customer", run_upcoming, "what closing the period now would bill"),
        ("list", "customer", run_list, "the customer's invoices, newest first"),
        ("show", "invoice", run_show, "one invoice by its id"),
    ):
        action = actions.add_parser(name, help=words, description=words)
        action.add_argument(argument)
        add_output(action)
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
    rows = [
        [i["id"], i["number"], i["period"]["end"][:10], i["status"], i["currency"], i["total"]]
        for i in invoices
    ]
    headings = ["id", "number", "until", "status", "currency", "total"]
    show(arguments.output, invoices, headings, rows, "no invoices")
    return 0


def _print(document: dict[str, Any], arguments: argparse.Namespace) -> int:
    if arguments.output == "table":
        print(invoice_text(document))
        return 0
    rows = [[line.get(name) for name in LINE_COLUMNS] for line in document["lines"]]
    show(arguments.output, document, LINE_COLUMNS, rows)
    return 0
