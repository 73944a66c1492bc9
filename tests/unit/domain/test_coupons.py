"""Coupons: a share or an amount of what billing periods cost, whichever invoice bills it."""

from dataclasses import replace
from decimal import Decimal
from random import Random

import pytest

from shared.domain.catalogue import Catalogue, Rate
from shared.domain.coupons import AppliedCoupon, Coupon
from shared.domain.discounts import reduced
from shared.domain.events import UsageEvent
from shared.domain.invoice_document import document_hash, invoice_document
from shared.domain.invoices import Invoice, Line, LineKind
from shared.domain.money import round_to_minor
from shared.domain.prices import PerUnit
from shared.domain.subscriptions import Target, change_now
from shared.domain.verification import verify
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_catalogue, a_plan, units, usage

PLAN = a_plan(allowances=(), credits=(), rates=(Rate("messages", PerUnit(Decimal("0.5")), "USD"),))
CATALOGUE = a_catalogue(PLAN)
FIFTH = Coupon("fifth", 1, "A fifth", percentage=Decimal(20), duration="forever")
TEN_USD = Coupon("ten", 1, "Ten off", amount_nanos=units(10), currency="USD")


def applied(coupon: Coupon, first: int = 1, id: str = "cp_1") -> AppliedCoupon:
    return AppliedCoupon(id, coupon, MARCH, first)


def with_coupons(*coupons: AppliedCoupon, catalogue: Catalogue = CATALOGUE) -> Books:
    books = Books.open(catalogue, MARCH)
    books.subscription = replace(books.subscription, coupons=coupons)
    return books


def used(books: Books, events: list[UsageEvent]) -> None:
    first = books.account.version * 1000
    books.apply(a_record(e, first + n, books.catalogue) for n, e in enumerate(events, 1))


def messages(count: int, month: int = 3) -> list[UsageEvent]:
    start = MARCH.replace(month=month)
    return [usage("acme", f"{month}-{n}", start + n * HOUR) for n in range(count)]


def close(books: Books) -> Invoice:
    books.open_next()
    closing = books.close(books.account.oldest_period_end + HOUR)
    assert closing.invoice is not None
    return closing.invoice


def amounts(invoice: Invoice) -> list[tuple[str, int]]:
    return [(line.kind, line.amount) for line in invoice.lines]


def test_a_percentage_takes_its_share_of_usage_and_of_the_next_fee() -> None:
    books = with_coupons(applied(FIFTH))
    used(books, messages(3))
    invoice = close(books)
    assert amounts(invoice) == [
        ("usage", units("1.50")),
        ("fee", units(20)),
        ("discount", units("-0.30")),
        ("discount", units(-4)),
    ]
    assert invoice.total == units("17.20")
    assert [line.of for line in invoice.lines[2:]] == [(1,), (2,)]
    assert [line.period for line in invoice.lines] == [1, 2, 1, 2]


def test_a_coupon_is_for_so_many_periods_fee_and_usage_of_each() -> None:
    """March's fee was charged before it came: April and May are its two periods."""
    books = with_coupons(applied(replace(FIFTH, duration="periods", periods=2), first=2))
    discounts = []
    for month in (3, 4, 5, 6):
        used(books, messages(2, month))
        discounts.append([x.amount for x in close(books).lines if x.kind == "discount"])
    assert discounts == [
        [units(-4)],
        [units("-0.20"), units(-4)],
        [units("-0.20")],
        [],
    ]
    [coupon] = books.subscription.coupons
    assert (coupon.first, coupon.last) == (2, 3)
    assert coupon.state(3) == "active"
    assert coupon.state(4) == "ended"


def test_a_coupon_begins_with_the_first_period_that_costs_something() -> None:
    free = a_catalogue(replace(PLAN, fee_nanos=0))
    books = with_coupons(applied(replace(FIFTH, duration="once")), catalogue=free)
    books.open_next()
    assert books.close(APRIL + HOUR).invoice is None
    used(books, messages(2, 4))
    assert amounts(close(books)) == [("usage", units(1)), ("discount", units("-0.20"))]
    used(books, messages(2, 5))
    assert amounts(close(books)) == [("usage", units(1))]


def test_ending_a_coupon_leaves_it_what_was_begun() -> None:
    books = with_coupons(replace(applied(FIFTH), ended_from=2))
    used(books, messages(2))
    assert amounts(close(books)) == [
        ("usage", units(1)),
        ("fee", units(20)),
        ("discount", units("-0.20")),
    ]


def test_a_single_amount_is_used_up_over_invoices_and_percentages_come_first() -> None:
    books = with_coupons(applied(TEN_USD), applied(FIFTH, id="cp_2"))
    books.catalogue = a_catalogue(replace(PLAN, fee_nanos=units("7.50")))
    invoice = close(books)
    assert amounts(invoice) == [
        ("fee", units("7.50")),
        ("discount", units("-1.50")),
        ("discount", units(-6)),
    ]
    assert (invoice.total, invoice.lines[2].of) == (0, (1, 2))
    assert books.subscription.coupons[0].left(2) == units(4)
    assert amounts(close(books))[-1] == ("discount", units(-4))
    assert books.subscription.coupons[0].state(3) == "ended"
    assert len(close(books).lines) == 2


def test_an_amount_for_each_period_is_given_anew_and_its_rest_is_lost() -> None:
    each = replace(TEN_USD, duration="periods", periods=2)
    books = with_coupons(applied(each))
    books.catalogue = a_catalogue(replace(PLAN, fee_nanos=units(8)))
    used(books, messages(6))
    assert amounts(close(books))[2:] == [("discount", units(-3)), ("discount", units(-8))]
    used(books, messages(10, 4))
    # April had 2 left after its fee. The third period is none of its two.
    assert amounts(close(books))[2:] == [("discount", units(-2))]
    assert books.subscription.coupons[0].taken == {}


def test_late_usage_of_a_period_is_discounted_as_the_period_is() -> None:
    books = with_coupons(applied(replace(FIFTH, duration="once")))
    used(books, messages(2))
    close(books)
    used(books, [usage("acme", "late", MARCH + DAY), *messages(4, 4)])
    invoice = close(books)
    assert amounts(invoice) == [
        ("usage", units(2)),
        ("usage", units("0.50")),
        ("fee", units(20)),
        ("discount", units("-0.10")),
    ]
    discount = invoice.lines[-1]
    assert (discount.of, discount.period, discount.late) == ((2,), 1, True)


def test_what_is_given_back_of_a_discounted_fee_is_what_was_paid() -> None:
    """Otherwise a plan taken at a discount and left at once would leave money behind."""
    dear = replace(PLAN, key="dear", name="Dear", fee_nanos=units(100), default=False)
    free = replace(PLAN, fee_nanos=0)
    books = with_coupons(applied(FIFTH), catalogue=a_catalogue(free, dear))
    up = change_now(
        books.account,
        books.subscription,
        current=free,
        wanted=Target(dear),
        grants={},
        now=MARCH,
    ).opening
    assert up.invoice is not None
    assert amounts(up.invoice) == [("fee", units(100)), ("discount", units(-20))]
    down = change_now(
        up.account, up.subscription, current=dear, wanted=Target(free), grants={}, now=MARCH
    ).opening
    assert down.invoice is not None
    assert amounts(down.invoice) == [
        ("proration", units(-100)),
        ("discount", units(20)),
        ("carried_forward", units(80)),
    ]


def test_a_coupon_for_plans_leaves_the_others_alone() -> None:
    books = with_coupons(applied(replace(FIFTH, plans=("dear",))))
    assert amounts(close(books)) == [("fee", units(20))]
    assert not books.subscription.coupons[0].started


def a_line(rng: Random, kind: LineKind, late: bool) -> Line:
    nanos = rng.randint(-3000, 9000) * 10**7
    plan, period = rng.choice(("basic", "dear")), 1 if late else rng.choice((2, 3))
    return Line(
        kind, "", nanos, MARCH, APRIL, plan, 1, "USD", nanos, late=late, phase=1, period=period
    )


def a_coupon(rng: Random, number: int) -> AppliedCoupon:
    duration = rng.choice(("once", "periods", "forever"))
    share = rng.choice((None, None, Decimal("12.3456"), Decimal(50), Decimal(100)))
    coupon = Coupon(
        f"c{number}",
        1,
        "A coupon",
        percentage=share,
        amount_nanos=0 if share else rng.randint(1, 9000) * 10**7,
        currency=None if share else "USD",
        duration=duration,
        periods=rng.randint(1, 3) if duration == "periods" else None,
        plans=rng.choice(((), (), ("dear",))),
    )
    return AppliedCoupon(f"cp_{number}", coupon, MARCH, rng.choice((1, 2, 3)))


@pytest.mark.parametrize("seed", range(300))
def test_any_coupons_on_any_lines_prove_themselves_and_take_no_more_than_there_is(
    seed: int,
) -> None:
    rng = Random(seed)
    kinds: tuple[LineKind, ...] = ("fee", "proration", "overage", "add_on")
    lines = tuple(a_line(rng, rng.choice(kinds), rng.random() < 0.3) for _ in range(6))
    coupons = tuple(a_coupon(rng, n) for n in range(rng.randint(1, 4)))
    draft = Invoice("inv_1", "acme", "period", 2, APRIL, MAY, "USD", lines)
    terms = replace(Books.open(CATALOGUE, MARCH).subscription, coupons=coupons)
    invoice, after = reduced(draft, terms)
    document = invoice_document(invoice)
    document["lines"] = [
        {**line, "unit_value": "1"} if line["type"] == "overage" else line
        for line in document["lines"]
    ]
    assert verify({**document, "hash": document_hash(document)}, ()) == ()
    for before, left in zip(coupons, after.coupons, strict=True):
        own = [x for x in invoice.lines if x.discount and x.discount.applied == before.id]
        coupon = before.coupon
        assert [left.first, left.started] == [own[0].period if own else before.first, bool(own)]
        for line in own:
            base = sum(invoice.lines[n - 1].amount for n in line.of)
            assert {invoice.lines[n - 1].period for n in line.of} == {line.period}
            assert left.covers(line.period)
            assert "add_on" not in {invoice.lines[n - 1].kind for n in line.of}
            if coupon.percentage:
                assert line.amount == round_to_minor(-int(base * coupon.percentage / 100), "USD")
            else:
                assert 0 < -line.amount <= base
        if not coupon.percentage:
            budget = coupon.amount_nanos * (1 if coupon.is_budget else len({x.period for x in own}))
            assert -sum(line.amount for line in own) <= budget
            assert all(left.left(period) >= 0 for period in (2, 3))
