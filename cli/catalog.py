"""`meterline catalog`: compare a catalogue file with what is published, or publish it."""

import argparse
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.catalogue_file import KINDS, CatalogueFile, FileEntry, Kind
from cli.client import ApiError, Client, path
from cli.text import printable
from shared.domain.errors import Problem
from shared.domain.publishing import Entry


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("catalog", help="compare or publish a catalogue file")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, run in (("diff", diff), ("apply", apply)):
        action = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        action.add_argument("file", type=Path, help="YAML or JSON: meters, credit_units, plans")
        action.set_defaults(run=run)


def diff(arguments: argparse.Namespace) -> int:
    """Show what publishing the file would change; entries that it does not name stay."""
    changes = list(compare(Client.from_environment(), CatalogueFile(arguments.file)))
    print("\n".join(change.text() for change in changes) or "nothing to change")
    return 0


def apply(arguments: argparse.Namespace) -> int:
    """Publish what differs, in the order of dependence. Applying again changes nothing."""
    client, file = Client.from_environment(), CatalogueFile(arguments.file)
    changes = list(compare(client, file))
    for change in changes:
        entry = change.entry
        try:
            client.call("PUT", path(f"{entry.kind.path}/{{key}}", key=entry.key), body=entry.body)
        except ApiError as error:
            problems = [
                Problem(entry.pointer + problem["pointer"], problem["code"])
                for problem in error.errors
            ]
            raise file.refusal(problems or [Problem(entry.pointer, error.code)]) from error
        print(change.text())
    print(f"{len(changes)} of {len(file.entries)} entries published")
    return 0


@dataclass(frozen=True)
class Change:
    """An entry of the file that is not published as it stands there."""

    entry: FileEntry
    published: Entry | None

    def text(self) -> str:
        """A line for the entry, and one for each member that differs."""
        kind = self.entry.kind
        if self.published is None:
            return f"+ {kind.noun} {printable(self.entry.key)}"
        before, after = _members(kind, self.published), _members(kind, self.entry.entry)
        lines = [
            f"    {name}: {json.dumps(before[name])} -> {json.dumps(after[name])}"
            for name in after
            if before[name] != after[name]
        ]
        return "\n".join([f"~ {kind.noun} {self.entry.key}", *lines])


def compare(client: Client, file: CatalogueFile) -> Iterator[Change]:
    """What the file says otherwise than what is published, in the order of publishing."""
    published = {kind.section: _published(client, kind) for kind in KINDS}
    for entry in file.entries:
        known = published[entry.kind.section].get(entry.key)
        if known != entry.entry:
            yield Change(entry, known)


def _published(client: Client, kind: Kind) -> Mapping[str, Entry]:
    answers = (kind.answer.model_validate(answer) for answer in client.pages(kind.path))
    return {answer.key: kind.entry(answer, answer.key) for answer in answers}


def _members(kind: Kind, entry: Entry) -> Mapping[str, Any]:
    """The members that a file can set, every default filled in."""
    shown: dict[str, Any] = kind.answer.of(entry).model_dump(mode="json")
    return {name: value for name, value in shown.items() if name in kind.body.model_fields}
