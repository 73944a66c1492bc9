"""`meterline keys`: API keys, made on the tables themselves with AWS credentials.

STAGE, BILLING_TABLE and SECRET_ARN say where; the stack's outputs name them.
"""

import argparse
import os
from typing import Any

from cli.client import ClientError, UsageError
from cli.numbers import positive
from cli.output import add_output, show
from shared.domain.errors import MeterlineError
from shared.domain.events import time_text
from shared.services.api_keys import SCOPES, ApiKeys

COLUMNS = ("id", "scopes", "name", "created_at", "revoked_at", "rate_limit")
KEY_ID = "the key's third part: ml_<stage>_<id>_…"
VARIABLES = ("STAGE", "BILLING_TABLE", "SECRET_ARN")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("keys", help="API keys", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    creating = _action(actions, "create", "make a key and print it, this once")
    creating.add_argument("--scope", choices=SCOPES, action="append", required=True)
    creating.add_argument("--name", default="", help="what the key is for")
    creating.add_argument(
        "--rate-limit", type=positive, metavar="N", help="requests per minute; default: no limit"
    )
    creating.set_defaults(run=create)
    limiting = _action(actions, "limit", "let a key send so many requests per minute from now on")
    limiting.add_argument("id", help=KEY_ID)
    limiting.add_argument("rate_limit", type=_limit, metavar="N", help="or `none`: no limit")
    limiting.set_defaults(run=limit)
    revoking = _action(actions, "revoke", "refuse a key from now on")
    revoking.add_argument("id", help=KEY_ID)
    revoking.set_defaults(run=revoke)
    listing = _action(actions, "list", "every key, without its secret")
    add_output(listing)
    listing.set_defaults(run=list_keys)


def _action(
    actions: "argparse._SubParsersAction[Any]", name: str, words: str
) -> argparse.ArgumentParser:
    action: argparse.ArgumentParser = actions.add_parser(name, help=words, description=words)
    action.set_defaults(offline=True)
    return action


def create(arguments: argparse.Namespace) -> int:
    """Prints the new key and nothing else."""
    try:
        print(_api_keys().create(arguments.scope, arguments.name, arguments.rate_limit))
    except MeterlineError as error:
        raise ClientError(error.detail) from error
    return 0


def limit(arguments: argparse.Namespace) -> int:
    """Sets the key's limit, or takes it away."""
    try:
        _api_keys().limit(arguments.id, arguments.rate_limit)
    except MeterlineError as error:
        raise ClientError(error.detail) from error
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Revokes the key."""
    try:
        _api_keys().revoke(arguments.id)
    except MeterlineError as error:
        raise ClientError(error.detail) from error
    return 0


def list_keys(arguments: argparse.Namespace) -> int:
    """Prints the keys."""
    answer = [
        {
            "id": key.id,
            "scopes": sorted(key.scopes),
            "name": key.name,
            "created_at": time_text(key.created_at),
            "revoked_at": time_text(key.revoked_at) if key.revoked_at else None,
            "rate_limit": key.rate_limit,
        }
        for key in _api_keys().all()
    ]
    show(arguments.output, answer, COLUMNS, [list(key.values()) for key in answer], "no keys")
    return 0


def _limit(text: str) -> int | None:
    return None if text == "none" else positive(text)


def _api_keys() -> ApiKeys:
    missing = [name for name in VARIABLES if not os.environ.get(name)]
    if missing:
        raise UsageError(f"set {', '.join(missing)}: the stack's outputs say to what")
    # Only this command works on AWS: the others start without its SDK.
    from functions._runtime import runtime  # noqa: PLC0415

    return runtime().api_keys
