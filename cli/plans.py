"""`meterline plans`: moving a plan's subscriptions to its newest version.

Examples:
    meterline plans migrate pro --at now --preview
    meterline plans migrate pro --from-version 3 --segment beta
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import uuid4

from cli.client import Client, path
from cli.output import add_output, show

COLUMNS = ("customer", "from", "outcome", "at", "invoice", "next fee", "included")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("plans", help="moving subscriptions", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    words = run_migrate.__doc__
    action = actions.add_parser("migrate", help=words, description=words)
    action.add_argument("plan")
    action.add_argument(
        "--from-version",
        dest="from_versions",
        metavar="N",
        type=int,
        action="append",
        default=[],
        help="only those on this version; may be repeated; default: all older ones",
    )
    action.add_argument("--segment", help="only customers in this segment")
    action.add_argument(
        "--at", metavar="MOMENT", help="period_end (the default), now or a time (RFC 3339)"
    )
    action.add_argument("--preview", action="store_true", help="show the effect, change nothing")
    add_output(action)
    action.set_defaults(run=run_migrate)


def run_migrate(arguments: argparse.Namespace) -> int:
    """Move a plan's subscriptions to its newest version. Stopped, it goes on where it was.

    Exit status 1 if any customer was refused.
    """
    wanted = {name: getattr(arguments, name) for name in ("from_versions", "segment", "at")}
    body = {"preview": arguments.preview, **{k: v for k, v in wanted.items() if v}}
    counts: Counter[str] = Counter()
    moves: list[Mapping[str, Any]] = []
    refused: list[Mapping[str, Any]] = []
    for page in _pages(arguments.plan, body):
        counts.update(page["counts"])
        moves += page["data"]
        refused += page["refused"]
    rows = [*map(_row, moves), *map(_refused_row, refused)]
    answer = {"counts": dict(counts), "data": moves, "refused": refused}
    show(arguments.output, answer, COLUMNS, rows, "nobody")
    if arguments.output == "table":
        done = "would be " if arguments.preview else ""
        print(", ".join(f"{counts[state]} {done}{state}" for state in counts))
    return int(bool(refused))


def _pages(plan: str, body: Mapping[str, object]) -> Iterator[Mapping[str, Any]]:
    """Every page, under one key: a page that is sent again is answered the same."""
    client, headers = Client.from_environment(), {"Idempotency-Key": str(uuid4())}
    place = path("/v1/plans/{plan}/migrations", plan=plan)
    query: dict[str, str | None] = {}
    while True:
        page = client.call("POST", place, query=query, body=body, headers=headers)
        yield page
        query = {"cursor": page["next_cursor"]}
        if page["next_cursor"] is None:
            return


def _row(move: Mapping[str, Any]) -> list[object]:
    invoice, fee = move["invoice"], move["next_fee"]
    included = [f"{each['unit']} {each['before']} -> {each['after']}" for each in move["included"]]
    return [
        move["customer"],
        f"v{move['from_version']}",
        move["state"],
        move["at"],
        f"{invoice['total']} {move['currency']}" if invoice else None,
        f"{fee['before']} -> {fee['after']}",
        ", ".join(included),
    ]


def _refused_row(refused: Mapping[str, str]) -> list[object]:
    reason = f"refused: {refused['code']}: {refused['detail']}"
    return [refused["customer"], None, reason, *[None] * (len(COLUMNS) - 3)]
