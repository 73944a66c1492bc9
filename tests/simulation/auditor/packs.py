"""V5, V8, V9: packs give what they hold from their purchase on, and are invoiced once."""

from collections.abc import Iterator
from datetime import timedelta
from fractions import Fraction

from tests.simulation.auditor.arithmetic import NANO, half_away, money_text
from tests.simulation.auditor.evidence import Finding, Plain
from tests.simulation.auditor.picture import Picture

SKEW = timedelta(minutes=10)  # of the machine that sold the pack


def packs_are_as_sold(picture: Picture) -> Iterator[Finding]:
    """V5, V8: the grants and the invoice of each purchase that people were told of."""
    who = picture.customer
    documents = {d["id"]: d for d in picture.stored.get("invoices", []) if d["kind"] == "add_on"}
    offers = {(a["key"], a["version"]): a for a in picture.evidence.catalogue["add_ons"]}
    grants: set[str] = set()
    invoices: set[str] = set()
    for order in picture.evidence.orders:
        if order["kind"] != "pack" or order["customer"] != who:
            continue
        answer = order["answer"]
        offer = offers[order["about"]["add_on"], answer["version"]]
        yield from _grants(picture, order, offer)
        grants |= set(answer["grants"])
        if (answer["invoice"] is None) != (offer["price_nanos"] == 0):
            yield Finding("V9", f"{who}: the invoice of {answer['grants']} is {answer['invoice']}")
        if answer["invoice"] is not None:
            if answer["invoice"] in invoices:
                yield Finding("V9", f"{who}: {answer['invoice']} is of two purchases")
            invoices.add(answer["invoice"])
            yield from _invoice(documents.get(answer["invoice"]), order, offer)
    sold = {key for key, g in picture.stored.get("grants", {}).items() if g["source"] == "add_on"}
    if sold != grants:
        yield Finding("V5", f"{who}: packs {sorted(sold ^ grants)} without or against an answer")
    if set(documents) != invoices:
        yield Finding("V9", f"{who}: invoices {sorted(set(documents) ^ invoices)} of no purchase")


def _grants(picture: Picture, order: Plain, offer: Plain) -> Iterator[Finding]:
    """V5: what the packs hold, so many times, from their purchase on and not before."""
    held = [
        (f"meter:{a['meter']}", half_away(Fraction(a["quantity"]) * NANO))
        for a in offer["allowances"]
    ]
    held += [(credit["unit"], credit["amount_nanos"]) for credit in offer["credits"]]
    basis = None
    if len(held) == 1 and offer["price_nanos"]:
        basis = Fraction(half_away(Fraction(offer["price_nanos"], held[0][1]) * 10**12), 10**12)
    found = [picture.stored["grants"].get(key) for key in order["answer"]["grants"]]
    for (unit, nanos), grant in zip(held, found, strict=True):
        if grant is None:
            yield Finding("V5", f"{picture.customer}: {offer['key']} gave no {unit}")
            continue
        name = f"{picture.customer}: pack {grant['id']}"
        if (grant["unit"], grant["amount"]) != (unit, nanos * order["about"]["quantity"]):
            yield Finding("V5", f"{name} gave {grant['amount']} {grant['unit']}")
        at = grant["effective_at"]
        if not order["asked_at"] - SKEW <= at <= order["answered_at"] + SKEW:
            yield Finding("V5", f"{name} is effective at {at}, bought after {order['asked_at']}")
        if (grant["cost_basis"] or None) != (basis or None):
            yield Finding("V5", f"{name} has the cost basis {grant['cost_basis']}, not {basis}")
        if not _expires(picture, grant, offer["expires"]):
            yield Finding("V5", f"{name} expires at {grant['expires_at']}, not {offer['expires']}")


def _expires(picture: Picture, grant: Plain, rule: str) -> bool:
    if rule == "never":
        return grant["expires_at"] is None
    if rule != "period_end":
        days = timedelta(days=int(rule[1:-1]))
        return bool(grant["expires_at"] == grant["effective_at"] + days)
    # A change of plan may have ended the period since, even at the instant of the purchase.
    # A clock that is behind sells before the first period began.
    at = max(grant["effective_at"], picture.phases[0].start)
    return any(p.start <= at <= p.end <= grant["expires_at"] for p in picture.phases)


def _invoice(document: Plain | None, order: Plain, offer: Plain) -> Iterator[Finding]:
    """V8: one line, of the published price so many times."""
    name = f"{order['customer']}: {offer['key']}"
    if document is None:
        yield Finding("V9", f"{name}: no invoice {order['answer']['invoice']}")
        return
    lines = [x for x in document["lines"] if not x["type"].endswith("_forward")]
    amount = money_text(offer["price_nanos"] * order["about"]["quantity"], offer["currency"])
    if [(x["type"], x["amount"]) for x in lines] != [("add_on", amount)]:
        yield Finding("V8", f"{name}: {document['number']} is not one line of {amount}")
