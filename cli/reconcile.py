"""`meterline reconcile`: a customer's numbers against its raw events, or how all stand."""

import argparse
from typing import Any

from cli.client import Client, path


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "reconcile", help="raw events against totals, balances and ledger", description=__doc__
    )
    parser.add_argument("customer", nargs="?", help="reconcile this one now; default: show all")
    parser.add_argument("--release", action="store_true", help="let its held billing go on instead")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the outcome. Exit status 1 if numbers contradict, or the pass is not finished."""
    client = Client.from_environment()
    if arguments.customer is None:
        return _show(client)
    place = path("/v1/reconciliation/{customer}", customer=arguments.customer)
    if arguments.release:
        client.call("DELETE", f"{place}/hold")
        print("billing goes on")
        return 0
    answer = client.call("POST", place)
    print(f"{answer['repaired']} events repaired, {answer['spanned']} gaps in the ledger spanned")
    for finding in answer["findings"]:
        print(f"contradiction: {finding}")
    if not answer["finished"]:
        print("not everything is judged yet: run it again")
    return int(bool(answer["findings"]) or not answer["finished"])


def _show(client: Client) -> int:
    answer = client.call("GET", "/v1/reconciliation")
    print(f"everything was right at {answer['clean_at'] or 'no time yet'}")
    for note in answer["data"]:
        for finding in note["findings"]:
            print(f"{note['customer']}: {finding}")
    return int(bool(answer["data"]))
