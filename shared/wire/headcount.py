"""How many customers there are, on the wire."""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Self, get_args

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from shared.domain.headcount import Measure
from shared.services.headcount import CountBy, CountKey
from shared.services.reports import Asked
from shared.wire.analytics import AudienceQuery, no_duplicates, split
from shared.wire.common import Items, Time, WireModel


class HeadcountQuery(AudienceQuery):
    """`limit` is of customers. `group_by` may be repeated, or its names stand with commas."""

    group_by: Annotated[
        Items[CountBy], BeforeValidator(split), AfterValidator(no_duplicates), Field(max_length=3)
    ] = ()

    def to_asked(self, cursor: str | None) -> Asked:
        """What is asked."""
        return Asked(self.to_question(cursor), self.start, self.end)


class HeadcountRow(WireModel):
    """A group: `customers` are those at `to`, the others count what happened since `from`.

    `new` is by the plan that a customer began on. `converted` is by the plan that it came to pay
    for, after another or a trial; `cancelled` by the one that it left for one it does not pay for:
    the default plan, one that converts, or one that never bills.
    """

    group: dict[CountBy, str]
    customers: int
    new: int
    converted: int
    cancelled: int


class HeadcountView(WireModel):
    """Rows by group; those of all pages add up. A customer is in each of its segments."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    start: Annotated[Time, Field(serialization_alias="from")]
    end: Annotated[Time, Field(serialization_alias="to")]
    data: list[HeadcountRow]
    customers: int
    next_cursor: str | None

    @classmethod
    def of(
        cls, query: HeadcountQuery, found: Sequence[Counter[CountKey]], cursor: str | None
    ) -> Self:
        """The customers of the page together."""
        total = Counter[CountKey]()
        for each in found:
            total.update(each)
        rows = [
            HeadcountRow(
                group=dict(zip(query.group_by, group, strict=True)),
                **{name: total[CountKey(group, name)] for name in get_args(Measure)},
            )
            for group in sorted({key.group for key in total})
        ]
        return cls(
            start=query.start, end=query.end, data=rows, customers=len(found), next_cursor=cursor
        )
