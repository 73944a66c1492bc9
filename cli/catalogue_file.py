"""A catalogue as one file of YAML or JSON, every value with the line that it stands on.

Plain scalars are read as JSON would (null, true, false, integers); everything else stays the text
that it is, so that no price loses a digit and no date changes its form.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from cli.client import ClientError
from shared.domain.errors import Problem
from shared.domain.publishing import Entry
from shared.wire.add_ons import AddOnAnswer, AddOnBody
from shared.wire.catalogue import CreditUnitAnswer, CreditUnitBody, MeterAnswer, MeterBody
from shared.wire.common import invalid
from shared.wire.costs import CostsAnswer, CostsBody
from shared.wire.coupons import CouponAnswer, CouponBody
from shared.wire.earned_shares import EarningRuleAnswer, EarningRuleBody
from shared.wire.plans import PlanAnswer, PlanBody
from shared.wire.rewards import RewardRuleAnswer, RewardRuleBody
from shared.wire.strict_json import pointer_token

INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
CONSTANTS = {"": None, "~": None, "null": None, "true": True, "false": False}


@dataclass(frozen=True)
class Kind:
    """One section of the file: where it goes in the API, and how its entries are compared."""

    section: str
    noun: str
    path: str
    body: type[BaseModel]
    entry: Callable[[Any, str], Entry]
    answer: Any


# In the order in which they depend on each other.
KINDS = (
    Kind("meters", "meter", "/v1/meters", MeterBody, MeterBody.to_meter, MeterAnswer),
    Kind(
        "cost_rates", "cost rates of", "/v1/cost-rates", CostsBody, CostsBody.to_costs, CostsAnswer
    ),
    Kind(
        "credit_units",
        "credit unit",
        "/v1/credit-units",
        CreditUnitBody,
        CreditUnitBody.to_unit,
        CreditUnitAnswer,
    ),
    Kind("add_ons", "add-on", "/v1/add-ons", AddOnBody, AddOnBody.to_add_on, AddOnAnswer),
    Kind("plans", "plan", "/v1/plans", PlanBody, PlanBody.to_plan, PlanAnswer),
    Kind("coupons", "coupon", "/v1/coupons", CouponBody, CouponBody.to_coupon, CouponAnswer),
    Kind(
        "reward_rules",
        "reward rule",
        "/v1/reward-rules",
        RewardRuleBody,
        RewardRuleBody.to_rule,
        RewardRuleAnswer,
    ),
    Kind(
        "earning_rules",
        "earning rule",
        "/v1/earning-rules",
        EarningRuleBody,
        EarningRuleBody.to_rule,
        EarningRuleAnswer,
    ),
)


@dataclass(frozen=True)
class FileEntry:
    """One entry of the file: its body as it is sent, and as the domain understands it."""

    kind: Kind
    key: str
    body: Mapping[str, Any]
    entry: Entry

    @property
    def pointer(self) -> str:
        return f"/{self.kind.section}{pointer_token(self.key)}"


class CatalogueFile:
    """The entries of a file, in the order in which they can be published."""

    def __init__(self, path: Path) -> None:
        """Raises: ClientError naming the lines, for what is not a catalogue."""
        self.path = path
        self._lines: dict[str, int] = {}
        try:
            # JSON may be indented with tabs, which YAML refuses; neither has them inside text.
            text = path.read_text(encoding="utf-8").replace("\t", " ")
            root = yaml.compose(text, Loader=yaml.BaseLoader)
            document = {} if root is None else self._value(root, "")
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise ClientError(f"{path}:{line}: {error.problem}") from error
        except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
            raise ClientError(f"{path} is neither YAML nor JSON in UTF-8") from error
        self.entries = sorted(self._entries(document), key=_publishing_order)

    def refusal(self, problems: list[Problem]) -> ClientError:
        """The problems, their pointers into the file, as lines of it."""
        lines = [f"{self._place(p.pointer)}: {p.pointer[1:]}: {p.code}" for p in problems]
        return ClientError("\n".join(lines))

    def _place(self, pointer: str) -> str:
        """The line of the value, or for a missing one of what should hold it."""
        while pointer not in self._lines and pointer:
            pointer = pointer.rpartition("/")[0]
        return f"{self.path}:{self._lines.get(pointer, 1)}"

    def _entries(self, document: Any) -> Iterator[FileEntry]:
        kinds = {kind.section: kind for kind in KINDS}
        if not isinstance(document, dict):
            raise self.refusal([Problem("/", "not-a-catalogue")])
        problems = []
        for section, bodies in document.items():
            kind, place = kinds.get(section), pointer_token(section)
            if kind is None or not isinstance(bodies, dict | None):
                problems.append(Problem(place, "unknown-section" if kind is None else "not-a-map"))
                continue
            for key, body in (bodies or {}).items():
                try:
                    read = kind.body.model_validate(body)
                except ValidationError as error:
                    found = invalid(error, body, place + pointer_token(key))
                    problems += found.problems
                else:
                    yield FileEntry(kind, key, body, kind.entry(read, key))
        if problems:
            raise self.refusal(problems)

    def _value(self, node: yaml.Node, pointer: str) -> Any:
        self._lines.setdefault(pointer, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, pointer)
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return [self._value(item, f"{pointer}/{index}") for index, item in items]
        text: str = node.value
        if node.style is not None:
            return text
        if text in CONSTANTS:
            return CONSTANTS[text]
        return int(text) if INTEGER.fullmatch(text) else text

    def _mapping(self, node: yaml.MappingNode, pointer: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, member in node.value:
            place = pointer + pointer_token(name.value)
            if name.value in values:
                raise ClientError(f"{self.path}:{name.start_mark.line + 1}: {place[1:]}: repeated")
            self._lines[place] = name.start_mark.line + 1
            values[name.value] = self._value(member, place)
        return values


def _publishing_order(entry: FileEntry) -> tuple[int, bool, bool]:
    """By section; a plan that is no longer the default goes before the one that becomes it.

    A plan that converts to another goes after it.
    """
    body = entry.body
    return KINDS.index(entry.kind), bool(body.get("default")), bool(body.get("converts_to"))
