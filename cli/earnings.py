"""`meterline earnings`: what customers earn by the usage of others.

Example: meterline earnings recount fan --from 2026-03-10T00:00:00Z --to 2026-03-11T00:00:00Z
"""

import argparse
from itertools import islice
from typing import Any

from cli.client import Client, path
from cli.numbers import positive
from cli.output import add_output, show
from cli.rewards import recount, register_recount

RULE_COLUMNS = (
    "key",
    "meter",
    "beneficiary",
    "share",
    "unit",
    "hold",
    "payable",
    "created_at",
    "archived_at",
)
COLUMNS = ("rule", "unit", "accrued", "held", "due", "to_transfer", "paid", "next_release")
PAYOUT_COLUMNS = ("id", "rule", "unit", "amount", "payable", "status", "at", "reference")
ENTRY_COLUMNS = ("at", "rule", "source", "day", "quantity", "amount", "unit", "held_until")
RECOUNT_COLUMNS = ("accrued", "nobody", "later")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("earnings", help="earnings by others' usage", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    rules = actions.add_parser("rules", help=run_rules.__doc__, description=run_rules.__doc__)
    add_output(rules)
    rules.set_defaults(run=run_rules)
    for name, run in (("show", run_show), ("payouts", run_payouts), ("entries", run_entries)):
        action = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        action.add_argument("customer", help="who earns")
        if name == "entries":
            action.add_argument("--limit", type=positive, help="at most so many; default: all")
        add_output(action)
        action.set_defaults(run=run)
    register_recount(actions, run_recount)


def run_rules(arguments: argparse.Namespace) -> int:
    """Every rule by key, archived ones too."""
    found = list(Client.from_environment().pages("/v1/earning-rules"))
    rows = [[rule[name] for name in RULE_COLUMNS] for rule in found]
    show(arguments.output, found, RULE_COLUMNS, rows, "no earning rules")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """What a customer has earned under each rule: held, due, to transfer, paid."""
    answer = Client.from_environment().call("GET", _place(arguments))
    rows = [[earned[name] for name in COLUMNS] for earned in answer["data"]]
    show(arguments.output, answer, COLUMNS, rows, "no earnings")
    return 0


def run_payouts(arguments: argparse.Namespace) -> int:
    """What was paid to a customer, and the transfers that are due."""
    payouts = Client.from_environment().call("GET", _place(arguments))["payouts"]
    rows = [[payout[name] for name in PAYOUT_COLUMNS] for payout in payouts]
    show(arguments.output, payouts, PAYOUT_COLUMNS, rows, "no payouts")
    return 0


def run_entries(arguments: argparse.Namespace) -> int:
    """What each day of others' usage added or took back, newest first."""
    pages = Client.from_environment().pages(f"{_place(arguments)}/entries")
    found = list(islice(pages, arguments.limit))
    rows = [[entry[name] for name in ENTRY_COLUMNS] for entry in found]
    show(arguments.output, found, ENTRY_COLUMNS, rows, "no entries")
    return 0


def run_recount(arguments: argparse.Namespace) -> int:
    """Count a customer's usage anew, and accrue what others lack by it."""
    return recount(arguments, "/v1/earnings/recount", RECOUNT_COLUMNS)


def _place(arguments: argparse.Namespace) -> str:
    return path("/v1/customers/{customer}/earnings", customer=arguments.customer)
