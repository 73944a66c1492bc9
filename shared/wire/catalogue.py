"""Meters and credit units on the wire, exactly as the API page has them."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo, field_validator

from shared.domain.backfilling import Backfill, BackfillState
from shared.domain.catalogue import Aggregation, CreditUnit, Meter, UnitValue
from shared.wire.common import Identifier, Items, Text, Time, WireModel, refuse
from shared.wire.events import property_name
from shared.wire.prices import Currency, UnitPrice, once

MAX_DIMENSIONS = 10
MAX_FILTER_VALUES = 50
MAX_UNIT_VALUES = 100

PropertyName = Annotated[str, AfterValidator(property_name)]
FilterValues = Annotated[Items[Text], Field(min_length=1, max_length=MAX_FILTER_VALUES)]


class MeterBody(WireModel):
    """Turns events of one type into a quantity.

    `value` names the property that all aggregations but `count` read.
    """

    event_type: Identifier
    aggregation: Aggregation
    value: PropertyName | None = Field(default=None, validate_default=True)
    dimensions: Annotated[Items[PropertyName], Field(max_length=MAX_DIMENSIONS)] = ()
    filter: dict[PropertyName, FilterValues] = Field(
        default_factory=dict, max_length=MAX_DIMENSIONS
    )

    @field_validator("value")
    @classmethod
    def _all_but_counts_read_a_value(cls, value: str | None, info: ValidationInfo) -> str | None:
        counts = info.data.get("aggregation") == "count"
        if "aggregation" in info.data and not counts and value is None:
            raise refuse("required")
        if counts and value is not None:
            raise refuse("not-for-count")
        return value

    @field_validator("dimensions")
    @classmethod
    def _dimensions_once(cls, dimensions: tuple[str, ...]) -> tuple[str, ...]:
        return once(dimensions, lambda name: name, "duplicate-dimension")

    def to_meter(self, key: str) -> Meter:
        """The meter; the catalogue version that it is in force from is not known yet."""
        return Meter(
            key=key,
            event_type=self.event_type,
            aggregation=self.aggregation,
            value=self.value,
            dimensions=self.dimensions,
            filter={name: tuple(sorted(set(values))) for name, values in self.filter.items()},
        )


class MeterAnswer(MeterBody):
    """A meter, and the catalogue versions from which it counts, and counts no more."""

    key: str
    since: int
    archived_since: int | None

    @classmethod
    def of(cls, meter: Meter) -> "MeterAnswer":
        """The meter as the wire has it."""
        return cls(
            key=meter.key,
            event_type=meter.event_type,
            aggregation=meter.aggregation,
            value=meter.value,
            dimensions=meter.dimensions,
            filter=dict(meter.filter),
            since=meter.since,
            archived_since=meter.archived_since,
        )


class BackfillBody(WireModel):
    """From when on history is counted, on a full hour (UTC); without it, all of it."""

    start: Annotated[Time | None, Field(alias="from")] = None


class BackfillView(WireModel):
    """How far a meter's backfill is. `run` grows each time that it is ordered anew.

    It is `stopped` when the meter was archived before it was finished, and stays as far as it is.

    `customers` are those there are, null while they are being listed; `done` of them are finished,
    with `events` of the meter.
    """

    model_config = ConfigDict(frozen=True, serialize_by_alias=True)

    meter: str
    state: BackfillState
    run: int
    start: Annotated[Time | None, Field(serialization_alias="from")]
    requested_at: Time
    customers: int | None
    done: int
    events: int

    @classmethod
    def of(cls, backfill: Backfill, meter: Meter) -> "BackfillView":
        """The backfill as it is shown."""
        return cls(
            meter=backfill.meter,
            state=backfill.state(meter),
            run=backfill.run,
            start=backfill.start,
            requested_at=backfill.requested_at,
            customers=backfill.customers,
            done=backfill.done,
            events=backfill.events,
        )


class MeterDetails(MeterAnswer):
    """A meter, and how far its backfill is, if one was ordered."""

    backfill: BackfillView | None


class UnitValueBody(WireModel):
    """What one credit is worth in a currency from an instant on."""

    effective_at: Time
    currency: Currency
    value: UnitPrice


class CreditUnitBody(WireModel):
    """A custom currency: how many decimals it shows, and its dated values in real currencies."""

    name: Identifier
    decimals: Annotated[int, Field(ge=0, le=9)] = 0
    values: Annotated[Items[UnitValueBody], Field(max_length=MAX_UNIT_VALUES)] = ()

    @field_validator("values")
    @classmethod
    def _one_value_at_a_time(cls, values: tuple[UnitValueBody, ...]) -> tuple[UnitValueBody, ...]:
        return once(values, lambda v: (v.effective_at, v.currency), "duplicate-value")

    def to_unit(self, key: str) -> CreditUnit:
        """The credit unit, its values oldest first."""
        values = [UnitValue(v.effective_at, v.currency, v.value) for v in self.values]
        values.sort(key=lambda value: (value.effective_at, value.currency))
        return CreditUnit(key, self.name, self.decimals, tuple(values))


class CreditUnitAnswer(CreditUnitBody):
    """A credit unit."""

    key: str

    @classmethod
    def of(cls, unit: CreditUnit) -> "CreditUnitAnswer":
        """The credit unit as the wire has it."""
        values = tuple(
            UnitValueBody(effective_at=v.effective_at, currency=v.currency, value=v.value)
            for v in unit.values
        )
        return cls(key=unit.key, name=unit.name, decimals=unit.decimals, values=values)
