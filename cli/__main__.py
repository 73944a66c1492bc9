"""`meterline`: send events, look at usage, balances and invoices, from the command line."""

import argparse
import sys
from collections.abc import Sequence

from cli import (
    balance,
    catalog,
    event_types,
    events,
    invoice,
    keys,
    quarantine,
    reconcile,
    send,
    usage,
    verify,
)
from cli.client import ClientError

# Each module registers its own commands.
MODULES = (
    catalog,
    send,
    usage,
    balance,
    invoice,
    event_types,
    events,
    verify,
    quarantine,
    reconcile,
    keys,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command. Exit status 1: refused or failed, and why stands on stderr; 2: misused."""
    parser = argparse.ArgumentParser(
        prog="meterline",
        description=__doc__,
        epilog="METERLINE_URL and METERLINE_API_KEY say where; without them the local stack of "
        "this directory is used (.local/stack.json).",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in MODULES:
        module.register(commands)
    parsed = parser.parse_args(arguments)
    try:
        status: int = parsed.run(parsed)
    except (ClientError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return status


if __name__ == "__main__":
    sys.exit(main())
