"""What a person looks at when the demo is over."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from cli.client import Client, path
from cli.text import invoice_text, table
from local.demo.arithmetic import ZERO
from local.demo.compare import decimal_text
from local.demo.drive import Counts
from local.demo.tally import CREDIT, Account, Tally

LEDGER_HEAD = 4
LEDGER_TAIL = 6


def show_events(counts: Counts, expected_accepted: int, sent: int) -> None:
    """Accepted and duplicates, and what was expected."""
    print(f"\nEvents: {sent:,} sent over HTTPS, resends included")
    rows = [
        ["accepted", f"{expected_accepted:,}", f"{counts['accepted']:,}"],
        ["duplicates", f"{sent - expected_accepted:,}", f"{counts['duplicates']:,}"],
    ]
    print(table(["", "expected", "system"], rows))


def show_usage(tally: Tally) -> None:
    """Usage per meter, of all customers together."""
    totals: dict[tuple[str, str], Fraction] = {}
    for account in tally.accounts.values():
        for key, value in account.usage.items():
            totals[key] = totals.get(key, ZERO) + value
    print("\nUsage per meter, all customers")
    rows = [[meter, model, decimal_text(value)] for (meter, model), value in sorted(totals.items())]
    print(table(["meter", "model", "usage"], rows))


def show_money(tally: Tally) -> None:
    """One row for each customer: what the closed month came to."""
    rows = [
        [
            customer,
            account.customer.plan,
            decimal_text(invoice.drawn),
            decimal_text(invoice.overage),
            decimal_text(account.balance),
            f"{float(sum((line.amount for line in invoice.lines), ZERO)):.2f}",
        ]
        for customer, account in sorted(tally.accounts.items())
        for invoice in account.invoices[-1:]
    ]
    headings = ["customer", "plan", "sparks drawn", "overage", "balance now", "USD before overage"]
    print("\nThe month, by customer (as tallied and found)")
    print(table(headings, rows))


def show_ledger(client: Client, customer: str) -> None:
    """The first and last lines of a customer's ledger, in the credit unit."""
    where = path("/v1/customers/{customer}/ledger", customer=customer)
    entries = list(client.pages(where, {"unit": CREDIT, "limit": "1000"}))
    print(f"\nLedger of {customer}: {len(entries)} entries that moved sparks")
    rows = [
        [str(e["version"]), e["at"][:19], e["kind"], e["amount"], e["balance_after"]]
        for e in entries
    ]
    hidden = len(rows) - LEDGER_HEAD - LEDGER_TAIL
    if hidden > 0:
        gap = ["...", f"{hidden} more", "", "", ""]
        rows = [*rows[:LEDGER_HEAD], gap, *rows[-LEDGER_TAIL:]]
    print(table(["version", "at", "cause", "change", "balance after"], rows))


def show_invoice(client: Client, account: Account) -> str:
    """The customer's newest invoice; its id."""
    customer = account.customer.key
    where = path("/v1/customers/{customer}/invoices", customer=customer)
    newest = next(client.pages(where))
    invoice = client.call("GET", path("/v1/invoices/{id}", id=newest["id"]))
    print(f"\n{invoice_text(invoice)}")
    return str(newest["id"])


def show_links(stack: Mapping[str, str], token: str, invoice: str, customer: str) -> None:
    """Where to look next."""
    print("\nLook around")
    print(f"  console   {stack['console_url']}  (key: {stack['read_key']})")
    print(f"  portal    {stack['url']}/portal#token={token}  (signed in as {customer})")
    print(f"  invoice   {stack['url']}/v1/invoices/{invoice}  (meterline invoice show {invoice})")


def show_verdict(differences: Sequence[str]) -> None:
    """Whether the system and the tally agree, and if not, where."""
    if not differences:
        print("\nUsage, draw-downs, balances, ledgers and invoices agree with the tally.")
        return
    print(f"\nFAILED: {len(differences)} differences from the tally")
    for difference in differences:
        print(f"  {difference}")
