"""Answers about usage: what was kept of it, summed by windows and groups, ranked and filled.

Every number is made from merged usage, never from other numbers: the average of a month is not that
of its days, and what is left beside the ten greatest groups is counted itself.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import islice
from typing import NamedTuple

from shared.domain.catalogue import Meter
from shared.domain.distinct import DistinctValue
from shared.domain.money import mean
from shared.domain.periods import Period
from shared.domain.quarters import QUARTER
from shared.domain.usage_hours import OTHER, Quarter, UsageHour

CUSTOMER = "customer"  # what to group by for a row per customer
# What a window without usage comes to; of the other aggregations nothing can be said.
EMPTY_VALUES = {"count": Decimal(0), "sum": Decimal(0), "unique_count": Decimal(0)}

Kept = UsageHour | DistinctValue
# What a customer's usage of an instant is of, beside its dimensions: of one set of labels, or of
# several, each of which counts it.
Labels = Callable[[str, datetime], Sequence[Mapping[str, str]]]


def by_customer(customer: str, _: datetime) -> Sequence[Mapping[str, str]]:
    """Usage is of its customer, whenever it was."""
    return ({CUSTOMER: customer},)


class Group(NamedTuple):
    """The values of what was grouped by, in that order.

    `other`: usage whose dimension values were over the cap, all of it together. Its values read
    "other", which may be a value as well: the flag tells them apart.
    """

    values: tuple[str, ...]
    other: bool = False


@dataclass(frozen=True, slots=True)
class Shape:
    """How an answer is cut. `windows` are contiguous.

    `group_by` names dimensions of the meter or `labels`; a dimension of a label's name goes first.
    `where` keeps usage whose dimensions have one of the values. `top` keeps so many groups with
    the greatest values over all windows; `rest` asks for what is left. `fill` gives every group
    that has any usage a row in every window.
    """

    windows: Sequence[Period]
    group_by: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    top: int | None = None
    rest: bool = False
    fill: bool = False
    labels: Labels = by_customer


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One group in one window, [start, end). `value` None: nothing can be said of no usage."""

    start: datetime
    end: datetime
    group: Group
    value: Decimal | None


@dataclass(frozen=True, slots=True)
class Rows:
    """By time, then by group, or by rank where the top was asked for.

    `rest` is all groups that are not in the top. `other_left_out`: some usage was over the cap of
    dimension values, so that `where` could not judge it.
    """

    rows: tuple[AnswerRow, ...]
    rest: tuple[AnswerRow, ...] = ()
    other_left_out: bool = False


@dataclass(slots=True)
class _Total:
    """Merged usage, from which every aggregation can be told."""

    quarter: Quarter = field(default_factory=Quarter)
    distinct: set[str] = field(default_factory=set)

    def add(self, more: "_Total") -> None:
        self.quarter = self.quarter.merged(more.quarter)
        self.distinct |= more.distinct

    def value(self, meter: Meter) -> Decimal:
        if meter.aggregation == "unique_count":
            return Decimal(len(self.distinct))
        return aggregate(meter, self.quarter)


# Of each group: the windows with usage, by number.
_Totals = dict[Group, dict[int, _Total]]


def usage_answer(meter: Meter, kept: Iterable[Kept], shape: Shape, limit: int) -> Rows:
    """The rows of what was kept of a meter, of all customers asked about; `limit` + 1 at most.

    Not grouped there is one group, which has a row even without usage where a fill is asked for,
    and in a single window where the meter counts.
    """
    totals, other_left_out = _totals(meter, kept, shape)
    groups = sorted(totals)
    rest: _Totals = {}
    if shape.top is not None:
        groups.sort(key=lambda group: _merged(totals[group].values()).value(meter), reverse=True)
        groups, left = groups[: shape.top], groups[shape.top :]
        rest = {Group(()): _merged_windows([totals[group] for group in left])} if left else {}
    counts = meter.aggregation in ("count", "unique_count")
    if not totals and not shape.group_by and (shape.fill or (counts and len(shape.windows) == 1)):
        groups, totals = [Group(())], {Group(()): {}}
    rows = tuple(islice(_rows(meter, totals, groups, shape), limit + 1))
    rest_rows = tuple(_rows(meter, rest, rest, shape)) if shape.rest else ()
    return Rows(rows, rest_rows, other_left_out)


def _totals(meter: Meter, kept: Iterable[Kept], shape: Shape) -> tuple[_Totals, bool]:
    """The usage in the windows that `where` takes; and whether it could not judge some."""
    totals: _Totals = defaultdict(lambda: defaultdict(_Total))
    other_left_out = False
    for item in kept:
        dimensions = dict(item.key.dimensions)
        if shape.where and item.key.other:
            other_left_out = True
        elif all(dimensions.get(name, "") in values for name, values in shape.where.items()):
            own = dict.fromkeys(meter.dimensions, "") | dimensions
            for at, total in _parts(item):
                window = _window(at, shape.windows)
                if window is None:
                    continue
                for labels in shape.labels(item.key.customer, at):
                    known = {**labels, **own}
                    totals[_group(meter, item, known, shape.group_by)][window].add(total)
    return dict(totals), other_left_out


def _parts(item: Kept) -> Iterator[tuple[datetime, _Total]]:
    """The quarters of an hour with usage, by their starts."""
    if isinstance(item, DistinctValue):
        for at in item.instants():
            yield at, _Total(distinct={item.key.value})
        return
    for number, quarter in enumerate(item.quarters):
        if quarter.count:
            yield item.key.hour + number * QUARTER, _Total(quarter)


def _group(meter: Meter, item: Kept, known: Mapping[str, str], group_by: Sequence[str]) -> Group:
    values = []
    other = False
    for name in group_by:
        if item.key.other and name in meter.dimensions:
            values.append(OTHER)
            other = True
        else:
            values.append(known[name])
    return Group(tuple(values), other)


def _window(at: datetime, windows: Sequence[Period]) -> int | None:
    """The number of the window that the instant is in, if any."""
    if not windows or not windows[0].start <= at < windows[-1].end:
        return None
    return bisect_right(windows, at, key=lambda window: window.start) - 1


def _merged(totals: Iterable[_Total]) -> _Total:
    merged = _Total()
    for total in totals:
        merged.add(total)
    return merged


def _merged_windows(groups: Iterable[Mapping[int, _Total]]) -> dict[int, _Total]:
    merged: dict[int, _Total] = defaultdict(_Total)
    for windows in groups:
        for window, total in windows.items():
            merged[window].add(total)
    return dict(merged)


def _rows(
    meter: Meter, totals: _Totals, groups: Iterable[Group], shape: Shape
) -> Iterator[AnswerRow]:
    ordered = list(groups)
    single_count = not shape.group_by and len(shape.windows) == 1
    for number, window in enumerate(shape.windows):
        for group in ordered:
            total = totals[group].get(number)
            if total is not None:
                yield AnswerRow(window.start, window.end, group, total.value(meter))
            elif shape.fill or single_count:
                empty = EMPTY_VALUES.get(meter.aggregation)
                yield AnswerRow(window.start, window.end, group, empty)


def aggregate(meter: Meter, quarter: Quarter) -> Decimal:
    """What the meter's aggregation makes of usage that is not empty.

    An average is rounded to 9 decimals, half away from zero. Not for `unique_count`.
    """
    if meter.aggregation == "count":
        return Decimal(quarter.count)
    if meter.aggregation == "average":
        return mean(quarter.value, quarter.count)
    return quarter.mark.quantity if quarter.mark is not None else quarter.value
