"""`meterline catalog`: the catalogue as one file: compare it with what is published, publish it,
or write what is published into one.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml

from cli.catalogue_file import KINDS, CatalogueFile, FileEntry, Kind
from cli.client import ApiError, Client, ClientError, path
from cli.text import printable
from shared.domain.catalogue import AddOn, Catalogue, CreditUnit, Meter, Plan
from shared.domain.costs import MeterCosts, costs_at
from shared.domain.coupons import Coupon
from shared.domain.earning_rules import EarningRule
from shared.domain.errors import MeterlineError, Problem
from shared.domain.publishing import (
    Entry,
    publish_add_on,
    publish_meter,
    publish_plan,
    publish_unit,
)
from shared.domain.publishing_costs import publish_costs
from shared.domain.publishing_coupons import publish_coupon
from shared.domain.publishing_rules import publish_earning_rule, publish_reward_rule
from shared.domain.reward_rules import RewardRule
from shared.wire.common import EARLIEST

STDOUT = Path("-")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("catalog", help="the catalogue as a file", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, run in (("diff", diff), ("apply", apply), ("pull", pull)):
        action = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        action.add_argument(
            "file",
            type=Path,
            help="YAML or JSON: meters, cost_rates, credit_units, add_ons, plans, coupons, "
            "reward_rules, earning_rules",
        )
        if name == "apply":
            action.add_argument("--dry-run", action="store_true", help="publish nothing")
        if name == "pull":
            action.add_argument("--force", action="store_true", help="write over the file")
        action.set_defaults(run=run)


def diff(arguments: argparse.Namespace) -> int:
    """Show what publishing the file would change; exit status 1 if anything."""
    file = CatalogueFile(arguments.file)
    changes = list(compare(published(Client.from_environment()), file))
    print("\n".join(change.text() for change in changes) or "nothing to change")
    return int(bool(changes))


def apply(arguments: argparse.Namespace) -> int:
    """Publish what differs; what the file does not name stays. Again, it changes nothing."""
    client, file = Client.from_environment(), CatalogueFile(arguments.file)
    catalogue = published(client)
    changes = list(compare(catalogue, file))
    rehearse(catalogue, changes, file)
    for change in changes:
        if not arguments.dry_run:
            _publish(client, change.entry, file)
        print(change.text())
    words = "would be published" if arguments.dry_run else "published"
    print(f"{len(changes)} of {len(file.entries)} entries {words}")
    return 0


def pull(arguments: argparse.Namespace) -> int:
    """Write what is published into a file, JSON if its name ends so; - is stdout."""
    file: Path = arguments.file
    if file != STDOUT and file.exists() and not arguments.force:
        raise ClientError(f"{file} is there already: say --force to write over it")
    catalogue = published(Client.from_environment())
    document: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        entries = {e.key: _body(kind, e) for e in entries_of(catalogue, kind).values()}
        document |= {kind.section: entries} if entries else {}
    for meter in catalogue.meters.values():
        if meter.archived_since is not None:
            print(f"meter {meter.key} is archived, which a file cannot say", file=sys.stderr)
    for key, dated in catalogue.costs.items():
        if len(dated) > 1:
            print(f"of the cost rates of {key}, only the newest are written", file=sys.stderr)
    if file.suffix == ".json":
        text = json.dumps(document, indent=2) + "\n"
    else:
        text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    if file == STDOUT:
        sys.stdout.write(text)
    else:
        file.write_text(text, encoding="utf-8")
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
        lines = [f"    {line}" for line in differences(before, after)]
        return "\n".join([f"~ {kind.noun} {self.entry.key}", *lines])


def differences(before: object, after: object, place: str = "") -> Iterator[str]:
    """A line for each value that differs, down to the member or item that it is."""
    pairs: dict[str, tuple[object, object]] = {}
    if isinstance(before, dict) and isinstance(after, dict):
        names = {**before, **after}
        pairs = {name: (before.get(name), after.get(name)) for name in names}
    elif isinstance(before, list) and isinstance(after, list):
        items = enumerate(zip_longest(before, after))
        pairs = {str(index): pair for index, pair in items}
    elif before != after:
        shown = [printable(json.dumps(value, ensure_ascii=False)) for value in (before, after)]
        yield f"{place}: {' -> '.join(shown)}"
    for name, (old, new) in pairs.items():
        yield from differences(old, new, f"{place}/{name}" if place else name)


def compare(catalogue: Catalogue, file: CatalogueFile) -> Iterator[Change]:
    """What the file says otherwise than what is published, in the order of publishing."""
    for entry in file.entries:
        known = _published_as(catalogue, entry)
        if known is None or _as_filed(known) != entry.entry:
            yield Change(entry, known)


def _published_as(catalogue: Catalogue, entry: FileEntry) -> Entry | None:
    """What is published of the entry: its newest version; of costs, those in force at its date."""
    if isinstance(entry.entry, MeterCosts):
        return costs_at(catalogue.costs.get(entry.key, ()), entry.entry.effective_from)
    return entries_of(catalogue, entry.kind).get(entry.key)


def rehearse(catalogue: Catalogue, changes: Sequence[Change], file: CatalogueFile) -> None:
    """Publishes the changes on a copy, so that what would be refused is told before any is made.

    Raises: ClientError naming the lines.
    """
    problems: list[Problem] = []
    for change in changes:
        entry = change.entry
        try:
            catalogue = _published_on(catalogue, entry.entry)
        except MeterlineError as error:
            found = [Problem(entry.pointer + p.pointer, p.code) for p in error.problems]
            problems += found or [Problem(entry.pointer, f"{error.code}: {error.detail}")]
    if problems:
        raise file.refusal(problems)


def _published_on(catalogue: Catalogue, entry: Entry) -> Catalogue:  # noqa: PLR0911
    match entry:
        case Meter():
            publish_meter(catalogue, entry)
            return replace(catalogue, meters={**catalogue.meters, entry.key: entry})
        case CreditUnit():
            publish_unit(catalogue, entry, datetime.now(UTC))
            return replace(catalogue, units={**catalogue.units, entry.key: entry})
        case MeterCosts():
            publish_costs(catalogue, entry)
            return replace(catalogue, costs={**catalogue.costs, entry.key: (entry,)})
        case AddOn():
            publish_add_on(catalogue, entry)
            return replace(catalogue, add_ons={**catalogue.add_ons, entry.key: (entry,)})
        case Plan():
            publish_plan(catalogue, entry)
            return replace(catalogue, plans={**catalogue.plans, entry.key: (entry,)})
        case Coupon():
            publish_coupon(catalogue, entry)
            return replace(catalogue, coupons={**catalogue.coupons, entry.key: (entry,)})
        case RewardRule():
            publish_reward_rule(catalogue, entry)
            return replace(catalogue, reward_rules={**catalogue.reward_rules, entry.key: entry})
        case EarningRule():
            publish_earning_rule(catalogue, entry)
            return replace(catalogue, earning_rules={**catalogue.earning_rules, entry.key: entry})


def _publish(client: Client, entry: FileEntry, file: CatalogueFile) -> None:
    try:
        client.call("PUT", path(f"{entry.kind.path}/{{key}}", key=entry.key), body=entry.body)
    except ApiError as error:
        problems = [Problem(entry.pointer + p["pointer"], p["code"]) for p in error.errors]
        if error.status not in (409, 422):
            raise
        raise file.refusal(problems or [Problem(entry.pointer, error.code)]) from error


def published(client: Client) -> Catalogue:
    """The newest version of everything, as the API lists it."""
    meters, costs, units, add_ons, plans, coupons, rewards, earnings = (
        [k.answer.model_validate(a) for a in client.pages(k.path)] for k in KINDS
    )
    return Catalogue(
        meters={
            m.key: replace(m.to_meter(m.key), since=m.since, archived_since=m.archived_since)
            for m in meters
        },
        costs={
            meter: tuple(c.to_costs(meter) for c in costs if c.meter == meter)
            for meter in dict.fromkeys(c.meter for c in costs)
        },
        units={u.key: u.to_unit(u.key) for u in units},
        add_ons={a.key: (replace(a.to_add_on(a.key), version=a.version),) for a in add_ons},
        plans={p.key: (replace(p.to_plan(p.key), version=p.version),) for p in plans},
        coupons={c.key: (replace(c.to_coupon(c.key), version=c.version),) for c in coupons},
        reward_rules={r.key: _made(r) for r in rewards},
        earning_rules={r.key: _made(r) for r in earnings},
    )


def _made(answer: Any) -> Any:
    """The rule, made and archived as the API says."""
    rule = answer.to_rule(answer.key)
    return replace(rule, created_at=answer.created_at, archived_at=answer.archived_at)


def entries_of(catalogue: Catalogue, kind: Kind) -> Mapping[str, Entry]:
    """The newest version of each entry of one kind, by key."""
    if kind.section == "meters":
        return catalogue.meters
    if kind.section == "credit_units":
        return catalogue.units
    if kind.section == "reward_rules":
        return catalogue.reward_rules
    if kind.section == "earning_rules":
        return catalogue.earning_rules
    if kind.section == "cost_rates":
        return {key: dated[-1] for key, dated in catalogue.costs.items()}
    versioned: Mapping[str, Mapping[str, Sequence[Entry]]] = {
        "add_ons": catalogue.add_ons,
        "plans": catalogue.plans,
        "coupons": catalogue.coupons,
    }
    return {key: versions[-1] for key, versions in versioned[kind.section].items()}


def _as_filed(entry: Entry) -> Entry:
    """The entry without what publishing adds to it."""
    match entry:
        case Meter():
            return replace(entry, since=0, archived_since=None)
        case Plan() | AddOn() | Coupon():
            return replace(entry, version=0)
        case RewardRule() | EarningRule():
            return replace(entry, created_at=EARLIEST, archived_at=None)
        case CreditUnit() | MeterCosts():
            return entry


def _members(kind: Kind, entry: Entry) -> Mapping[str, Any]:
    """The members that a file can set, every default filled in."""
    shown: dict[str, Any] = kind.answer.of(entry).model_dump(mode="json")
    return {name: value for name, value in shown.items() if name in kind.body.model_fields}


def _body(kind: Kind, entry: Entry) -> Mapping[str, Any]:
    """The entry as a file has it: what stands at its default is left out."""
    fields = kind.body.model_fields
    return {
        name: value
        for name, value in _members(kind, entry).items()
        if value not in (None, [], {}) and str(value) != str(fields[name].default)
    }
