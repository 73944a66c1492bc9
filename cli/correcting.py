"""`meterline events correct`: an event counts no more, or with other data."""

import argparse
import uuid

from cli.client import Client, ClientError
from cli.text import printable
from shared.domain.errors import MeterlineError
from shared.domain.events import canonical_json
from shared.wire.strict_json import loads


def register(actions: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the action to those of `meterline events`."""
    action = actions.add_parser("correct", help=run.__doc__, description=run.__doc__)
    action.add_argument("customer")
    action.add_argument("source")
    action.add_argument("id")
    instead = action.add_mutually_exclusive_group(required=True)
    instead.add_argument("--cancel", action="store_true", help="it counts no more, for ever")
    instead.add_argument("--data", help="all of the data that counts instead, as JSON")
    action.add_argument("--reason", help="why, kept with the correction")
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Cancel an event, or have it count with other data; the event itself stays as it was sent."""
    order = {"customer": arguments.customer, "source": arguments.source, "id": arguments.id}
    if arguments.reason:
        order["reason"] = arguments.reason
    try:
        change = {"cancel": True} if arguments.cancel else {"data": loads(arguments.data.encode())}
    except MeterlineError as error:
        raise ClientError("--data is no JSON") from error
    answer = Client.from_environment().call(
        "POST",
        "/v1/events/correction",
        body=canonical_json({**order, **change}).encode(),
        headers={"Idempotency-Key": str(uuid.uuid4())},
    )
    if answer["data"] is None:
        outcome = "is cancelled"
    else:
        outcome = f"counts with {canonical_json(answer['data'])}"
    print(printable(f"{arguments.customer} {arguments.source} {arguments.id} {outcome}"))
    return 0
