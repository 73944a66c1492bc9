"""`meterline rewards`: rules by which usage earns credits, and how far customers are under them.

Example: meterline rewards recount acme --from 2026-03-10T00:00:00Z --to 2026-03-11T00:00:00Z
"""

import argparse
from typing import Any

from cli.client import Client, path
from cli.output import add_output, show

RULE_COLUMNS = (
    "key",
    "meter",
    "where",
    "every",
    "amount",
    "unit",
    "cap",
    "expires",
    "created_at",
    "archived_at",
)
COLUMNS = (
    "rule",
    "unit",
    "counted",
    "every",
    "towards_next",
    "given",
    "waiting",
    "ahead",
    "capped",
)
RECOUNT_COLUMNS = ("given", "waiting")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("rewards", help="rewards for usage", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    rules = actions.add_parser("rules", help=run_rules.__doc__, description=run_rules.__doc__)
    add_output(rules)
    rules.set_defaults(run=run_rules)
    showing = actions.add_parser("show", help=run_show.__doc__, description=run_show.__doc__)
    showing.add_argument("customer")
    add_output(showing)
    showing.set_defaults(run=run_show)
    register_recount(actions, run_recount)


def register_recount(actions: "argparse._SubParsersAction[Any]", run: Any) -> None:
    """Adds an action that counts a customer's usage anew."""
    counting = actions.add_parser("recount", help=run.__doc__, description=run.__doc__)
    counting.add_argument("customer", help="whose usage")
    counting.add_argument("--from", dest="start", metavar="TIME", help="default: 31 days before")
    counting.add_argument("--to", dest="end", metavar="TIME", help="default: the customer's now")
    add_output(counting)
    counting.set_defaults(run=run)


def run_rules(arguments: argparse.Namespace) -> int:
    """Every rule by key, archived ones too."""
    found = list(Client.from_environment().pages("/v1/reward-rules"))
    rows = [[rule[name] for name in RULE_COLUMNS] for rule in found]
    show(arguments.output, found, RULE_COLUMNS, rows, "no reward rules")
    return 0


def run_show(arguments: argparse.Namespace) -> int:
    """How far a customer is under each rule."""
    place = path("/v1/customers/{customer}/rewards", customer=arguments.customer)
    answer = Client.from_environment().call("GET", place)
    rows = [[reward[name] for name in COLUMNS] for reward in answer["data"]]
    show(arguments.output, answer, COLUMNS, rows, "no rewards")
    return 0


def run_recount(arguments: argparse.Namespace) -> int:
    """Count a customer's usage anew, and give the rewards that are missing."""
    return recount(arguments, "/v1/rewards/recount", RECOUNT_COLUMNS)


def recount(arguments: argparse.Namespace, place: str, columns: tuple[str, ...]) -> int:
    """Asks for the recount and shows what it came to; it is safe to repeat."""
    body = {"customer": arguments.customer, "from": arguments.start, "to": arguments.end}
    given = {name: value for name, value in body.items() if value is not None}
    answer = Client.from_environment().call("POST", place, body=given)
    show(arguments.output, answer, columns, [[answer[name] for name in columns]])
    return 0
