"""`meterline meters`: what is metered, and archiving it. `meterline catalog` publishes meters."""

import argparse
from typing import Any

from cli.client import Client, path
from cli.output import add_output, show


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("meters", help="meters as they are published")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help=run_list.__doc__, description=run_list.__doc__)
    add_output(listing)
    listing.set_defaults(run=run_list)
    archive = actions.add_parser(
        "archive", help=run_archive.__doc__, description=run_archive.__doc__
    )
    archive.add_argument("meter")
    archive.set_defaults(run=run_archive)
    backfill = actions.add_parser(
        "backfill", help=run_backfill.__doc__, description=run_backfill.__doc__
    )
    backfill.add_argument("meter")
    backfill.add_argument("--from", dest="start", metavar="TIME", help="a full hour (UTC)")
    backfill.add_argument("--status", action="store_true", help="only say how far it is")
    backfill.set_defaults(run=run_backfill)


def run_list(arguments: argparse.Namespace) -> int:
    """Show every meter, archived ones too."""
    meters = list(Client.from_environment().pages("/v1/meters"))
    rows = [[m["key"], _reads(m), m["event_type"], m["dimensions"], _since(m)] for m in meters]
    headings = ["meter", "reads", "event type", "dimensions", "catalogue"]
    show(arguments.output, meters, headings, rows, "no meters")
    return 0


def run_archive(arguments: argparse.Namespace) -> int:
    """Stop a meter's counting, for good. What it counted stays."""
    place = path("/v1/meters/{meter}/archive", meter=arguments.meter)
    meter = Client.from_environment().call("POST", place)
    print(f"{meter['key']} counts no more from catalogue version {meter['archived_since']} on")
    return 0


def run_backfill(arguments: argparse.Namespace) -> int:
    """Count a meter's usage from before it was made: all of it, or from a time on."""
    client, place = Client.from_environment(), path("/v1/meters/{meter}", meter=arguments.meter)
    if arguments.status:
        backfill = client.call("GET", place)["backfill"]
    else:
        body = {"from": arguments.start} if arguments.start else {}
        backfill = client.call("POST", f"{place}/backfill", body=body)
    if backfill is None:
        print("never backfilled")
        return 0
    customers = "?" if backfill["customers"] is None else backfill["customers"]
    progress = f"{backfill['done']} of {customers} customers, {backfill['events']} events"
    print(f"{backfill['state']}: {progress}")
    return 0


def _reads(meter: dict[str, Any]) -> str:
    value = meter["value"]
    return f"{meter['aggregation']} of {value}" if value else str(meter["aggregation"])


def _since(meter: dict[str, Any]) -> str:
    archived = meter["archived_since"]
    return f"{meter['since']}, archived in {archived}" if archived else str(meter["since"])
