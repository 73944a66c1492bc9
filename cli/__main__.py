"""`meterline`: send events, look at usage, balances and invoices, from the command line."""

import argparse
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from cli import (
    add_ons,
    archive,
    balance,
    catalog,
    conversion,
    coupons,
    customers,
    earnings,
    entitlements,
    event_types,
    events,
    exporting,
    headcount,
    invoice,
    keys,
    ledger,
    liability,
    margin,
    meters,
    plans,
    price,
    quarantine,
    reconcile,
    replay,
    reservations,
    rewards,
    segments,
    send,
    shadow,
    sql,
    subscription,
    usage,
    usage_report,
    verify,
)
from cli.client import ClientError, exit_status

# Each module registers its own commands.
MODULES = (
    catalog,
    meters,
    plans,
    price,
    send,
    events,
    event_types,
    usage,
    usage_report,
    customers,
    segments,
    subscription,
    conversion,
    balance,
    entitlements,
    reservations,
    add_ons,
    coupons,
    rewards,
    earnings,
    ledger,
    liability,
    margin,
    headcount,
    replay,
    invoice,
    exporting,
    sql,
    verify,
    archive,
    quarantine,
    reconcile,
    shadow,
    keys,
)
PROJECT = Path(__file__).parents[1] / "pyproject.toml"
INTERRUPTED = 130  # what shells expect of a program that was interrupted
EPILOG = """\
Where: --url and --key, else METERLINE_URL and METERLINE_API_KEY, else the local stack of this
directory (.local/stack.json).

Exit status: 0 done; 1 refused, or not equal; 2 misused; 3 nothing answers, or not now.

Examples:
  meterline send events.ndjson
  meterline events tail acme
  meterline catalog diff catalogue.yaml
  meterline invoice upcoming acme --output json
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status; what went wrong stands on stderr."""
    parser = build_parser()
    parsed = parser.parse_args(arguments)
    # Options say the same as the variables, which is where every command looks.
    for option, variable in (("api_url", "METERLINE_URL"), ("api_key", "METERLINE_API_KEY")):
        if value := getattr(parsed, option, None):
            os.environ[variable] = value
    try:
        status: int = parsed.run(parsed)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has seen enough; Python must not try to flush what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except ClientError as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_status(error)
    except OSError as error:
        named = f"{error.filename}: {error.strerror}" if error.filename else error
        print(f"error: {named}", file=sys.stderr)
        return 1
    return status


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(
        prog="meterline",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["version"]
    parser.add_argument("--version", action="version", version=f"meterline {version}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for module in MODULES:
        module.register(commands)
    for _, leaf in leaves(parser):
        leaf.formatter_class = argparse.RawDescriptionHelpFormatter
        if not leaf.get_default("offline"):
            leaf.add_argument("--url", dest="api_url", metavar="URL", help="the API's address")
            leaf.add_argument("--key", dest="api_key", metavar="KEY", help="the API key")
    return parser


def leaves(
    parser: argparse.ArgumentParser, words: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Each command that can be run, with the words that name it."""
    groups = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    if not groups:
        yield words, parser
    for group in groups:
        for name, child in group.choices.items():
            yield from leaves(child, (*words, name))


if __name__ == "__main__":
    sys.exit(main())
