"""Recurring add-ons: bought once, then charged and given with each billing period of the plan."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from decimal import Decimal

from shared.domain.catalogue import AddOn, Catalogue, Plan
from shared.domain.credits import Grant
from shared.domain.customers import SubscribedAddOn
from shared.domain.errors import NotFoundError
from shared.domain.invoices import Line
from shared.domain.money import round_to_minor
from shared.domain.pack_contents import contents
from shared.domain.periods import Span

# The terms are read with every batch of usage.
MAX_RECURRING = 10

AddOns = tuple[SubscribedAddOn, ...]


def renewed(add_ons: AddOns, period: int) -> AddOns:
    """Those that are charged and given with the period, which began after they were bought."""
    return tuple(a for a in add_ons if a.since < period and a.lasts(period))


def carried_over(add_ons: AddOns, before: Plan, after: Plan, period: int) -> AddOns:
    """The add-ons after a change of plan: with another rhythm, or a cancellation, they end.

    `period` is the first one without them. A cancellation is a change to the default plan.
    """
    same = (before.interval, before.period) == (after.interval, after.period)
    cancelled = after.default and after.key != before.key
    return add_ons if same and not cancelled else ended(add_ons, period)


def ended(add_ons: AddOns, period: int) -> AddOns:
    """The add-ons, over with the period at the latest."""
    return tuple(replace(a, until=min(a.until or period, period)) for a in add_ons)


def still_billed(add_ons: AddOns, oldest: int) -> AddOns:
    """Those that the invoice of the oldest open period, or of a later one, may still charge."""
    return tuple(a for a in add_ons if a.lasts(oldest + 1))


def renewal_grants(
    customer: str, add_ons: AddOns, catalogue: Catalogue, span: Span, number: int
) -> tuple[Grant, ...]:
    """What the add-ons give with the phase of this number: it is over with its period."""
    return tuple(
        Grant(
            id=f"p{number}-o{place}-{index}",
            customer=customer,
            unit=unit,
            amount=span.share(nanos * held.quantity),
            source="add_on",
            effective_at=span.start,
            created_at=span.start,
            expires_at=span.end,
            cost_basis=basis,
            cost_currency=add_on.currency if basis else None,
        )
        for place, (held, add_on) in enumerate(published(add_ons, catalogue))
        for index, (unit, nanos, basis) in enumerate(contents(add_on))
    )


def is_renewal(grant: Grant) -> bool:
    """Whether a recurring add-on gave it with a period, not with its purchase."""
    return grant.source == "add_on" and re.match(r"p\d+-o", grant.id) is not None


def renewal_lines(
    add_ons: AddOns, catalogue: Catalogue, plan: Plan, span: Span
) -> tuple[Line, ...]:
    """The lines that charge the add-ons in advance, with the plan's fee for the span."""
    return tuple(
        Line(
            kind="add_on",
            description=f"{add_on.name} × {held.quantity}",
            amount=round_to_minor(nanos, add_on.currency),
            start=span.start,
            end=span.end,
            plan=plan.key,
            plan_version=plan.version,
            unit=add_on.currency,
            unit_amount=nanos,
            quantity=Decimal(held.quantity),
        )
        for held, add_on in published(add_ons, catalogue)
        if (nanos := span.share(add_on.price_nanos * held.quantity))
    )


def published(
    add_ons: Sequence[SubscribedAddOn], catalogue: Catalogue
) -> Iterable[tuple[SubscribedAddOn, AddOn]]:
    """Each with the version that was bought.

    Raises: NotFoundError.
    """
    for held in add_ons:
        versions = catalogue.add_ons.get(held.add_on, ())
        found = [each for each in versions if each.version == held.version]
        if not found:
            raise NotFoundError(f"add-on {held.add_on} has no version {held.version}")
        yield held, found[0]
