"""The console and the portal in a real browser, on the deployed stack."""

import re
import uuid
from collections.abc import Iterator

import pytest
import urllib3
from playwright.sync_api import Browser, Page, expect

from cli.client import Client
from tests.support.browser import browser as launched_browser

EVENTS = 7
VISIBLE_MS = 30_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched_browser() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that fails the test when the browser blocks or throws anything."""
    context = browser.new_context()
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    yield opened
    context.close()
    assert complaints == []


@pytest.fixture(scope="module")
def customer(stack: dict[str, str]) -> str:
    """A customer with some messages, whose name would be dangerous as HTML."""
    key = f"pages-{uuid.uuid4().hex[:8]}"
    admin = Client(stack["url"], stack["admin_key"])
    profile = {"name": "<img src=x onerror=alert(1)>", "traits": {"page": key}}
    admin.call("PUT", f"/v1/customers/{key}", body=profile)
    segment = {"name": "<b>Pages</b>", "filter": {"page": [key]}}
    admin.call("PUT", f"/v1/segments/{key}", body=segment)
    send_messages(stack, key, 0, EVENTS)
    return key


def send_messages(stack: dict[str, str], customer: str, first: int, count: int) -> None:
    events = [
        {
            "specversion": "1.0",
            "id": f"m{n}",
            "source": "pages",
            "type": "chat.message",
            "subject": customer,
            "data": {},
        }
        for n in range(first, first + count)
    ]
    Client(stack["url"], stack["ingest_key"]).call("POST", "/v1/events", body=events)


def portal_link(stack: dict[str, str], customer: str) -> str:
    session = {"customer": customer, "ttl_seconds": 600}
    admin = Client(stack["url"], stack["admin_key"])
    token = admin.call("POST", "/v1/portal/sessions", body=session)["token"]
    return f"{stack['url']}/portal#token={token}"


def test_the_portal_shows_usage_balance_and_upcoming_invoice_live(
    page: Page, stack: dict[str, str], customer: str
) -> None:
    page.goto(portal_link(stack, customer))
    expect(page.locator("#title")).to_have_text(customer)
    usage = page.locator("section", has=page.get_by_role("heading", name="Usage this period"))
    row = usage.locator("tr", has_text="messages")
    expect(row.locator("td").nth(1)).to_have_text(str(EVENTS), timeout=VISIBLE_MS)
    expect(page.locator(".card", has_text="spark available").locator("strong")).not_to_be_empty()
    expect(page.locator(".card", has_text="Upcoming invoice").locator("strong")).to_have_text(
        "0.00 USD"
    )
    history = page.locator("section", has=page.get_by_role("heading", name="Credits history"))
    expect(history.locator("tbody tr").first).to_contain_text("included messages")
    assert "token" not in page.url
    send_messages(stack, customer, EVENTS, 2)
    expect(row.locator("td").nth(1)).to_have_text(str(EVENTS + 2), timeout=VISIBLE_MS)


def test_who_used_up_a_free_plan_is_called_to_pay(page: Page, stack: dict[str, str]) -> None:
    key = f"pages-{uuid.uuid4().hex[:8]}"
    Client(stack["url"], stack["admin_key"]).call("PUT", f"/v1/customers/{key}", body={})
    page.goto(portal_link(stack, key))
    call = page.locator("section", has=page.get_by_role("heading", name="Add payment details"))
    expect(page.get_by_role("heading", name="Upcoming invoice")).to_be_visible(timeout=VISIBLE_MS)
    expect(call).to_have_count(0)
    send_messages(stack, key, 0, 100)
    expect(call).to_contain_text("the plan changes from free to pro", timeout=VISIBLE_MS)


def test_the_console_asks_for_a_key_once_and_shows_everyone(
    page: Page, stack: dict[str, str], customer: str
) -> None:
    page.goto(stack["console_url"])
    page.locator("input").fill(stack["read_key"])
    page.get_by_role("button", name="Open").click()
    meters = page.locator("section", has=page.get_by_role("heading", name="Usage, all customers"))
    day = meters.locator("tr", has_text="chat.message").locator("td").nth(3)
    expect(day).to_have_text(re.compile("[1-9]"), timeout=VISIBLE_MS)
    expect(page.locator("tr", has_text=customer)).to_contain_text("<img src=x onerror=alert(1)>")
    expect(page.locator(".card", has_text="Found right").locator("strong")).not_to_be_empty()
    page.get_by_role("button", name=customer).click()
    expect(page.get_by_role("heading", name="Upcoming invoice")).to_be_visible(timeout=VISIBLE_MS)
    page.reload()
    expect(meters).to_be_visible(timeout=VISIBLE_MS)


def test_usage_over_time_leads_from_a_segment_to_a_customer(
    page: Page, stack: dict[str, str], customer: str
) -> None:
    page.goto(f"{stack['console_url']}#key={stack['read_key']}")
    usage = page.locator("section", has=page.get_by_role("heading", name="Usage over time"))
    usage.get_by_label("Meter").select_option("messages", timeout=VISIBLE_MS)
    usage.get_by_label("Segment").select_option(customer)
    usage.get_by_label("Grouped by").select_option("customer")
    row = usage.locator("tr", has_text=customer)
    expect(row.locator("td").nth(2)).to_have_text(re.compile("[1-9]"), timeout=VISIBLE_MS)
    expect(usage.locator("svg rect")).to_have_count(1)
    page.get_by_role("button", name="<b>Pages</b>").click()
    heading = page.get_by_role("heading", name="Customers", exact=True)
    customers = page.locator("section", has=heading)
    expect(customers.locator("tbody tr")).to_have_count(1, timeout=VISIBLE_MS)
    row.get_by_role("button", name=customer).click()
    expect(page.get_by_role("heading", name="Upcoming invoice")).to_be_visible(timeout=VISIBLE_MS)
    expect(usage.get_by_label("Segment")).to_have_count(0)
    expect(usage.get_by_label("Meter")).to_have_value("messages")
    expect(usage.locator("svg rect")).to_have_count(1, timeout=VISIBLE_MS)


def test_reports_lead_from_a_segment_to_a_customer_and_a_coupon(
    page: Page, stack: dict[str, str], customer: str
) -> None:
    coupon = {"name": "<b>Ten</b>", "percentage": "10", "duration": "forever"}
    client = Client(stack["url"], stack["admin_key"])
    client.call("PUT", f"/v1/coupons/{customer}", body=coupon)
    refilled = {"unit": "EUR", "amount": "5", "expires": "never", "refill": True}
    plan = {"name": "Refilled", "currency": "EUR", "interval": "month", "credits": [refilled]}
    client.call("PUT", f"/v1/plans/{customer}-refilled", body=plan)
    page.goto(f"{stack['console_url']}#key={stack['admin_key']}")
    report = page.locator("#report")
    for name in ("Credits owed", "Revenue & margin", "Replay"):
        page.get_by_role("button", name=name).click(timeout=VISIBLE_MS)
        segment = report.locator("label", has_text=re.compile("^Segment")).locator("select")
        segment.select_option(customer, timeout=VISIBLE_MS)
        if name == "Replay":
            report.locator("label", has_text=re.compile("^Plan")).locator("select").select_option(
                index=1
            )
        report.get_by_role("button", name="Show").click()
        expect(report.locator("p", has_text="Reading")).to_have_count(0, timeout=VISIBLE_MS)
        expect(report.locator(".failed")).to_have_count(0)
    expect(report.locator("tr", has_text=customer)).to_have_count(1)
    page.get_by_role("button", name="Catalogue").click()
    row = report.locator("tr", has_text="<b>Ten</b>")
    expect(row).to_contain_text(customer, timeout=VISIBLE_MS)
    plan_row = report.locator("tr", has_text=f"{customer}-refilled")
    expect(plan_row).to_contain_text("refilled to 5 EUR")
    page.get_by_role("button", name="Replay").click()
    report.get_by_role("button", name=customer).click()
    said: list[str] = []
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.accept(customer)))
    page.get_by_role("button", name="give a coupon").click(timeout=VISIBLE_MS)
    coupons = page.locator("section", has=page.get_by_role("heading", name="Coupons"))
    expect(coupons.locator("tbody tr")).to_contain_text("active", timeout=VISIBLE_MS)
    coupons.get_by_role("button", name="end").click()
    expect(coupons.get_by_role("button", name="end")).to_have_count(0, timeout=VISIBLE_MS)
    with page.expect_event("dialog", timeout=VISIBLE_MS):
        page.get_by_role("button", name="count anew what others earn by it").click()
    assert said[-1].endswith("0 entries were missing, 0 days are counted later.")


@pytest.mark.parametrize("path", ["/console", "/portal", "/web/page.js", "/web/page.css"])
def test_pages_run_nothing_inline_and_are_never_framed(stack: dict[str, str], path: str) -> None:
    answer = urllib3.request("GET", stack["url"] + path)
    policy = answer.headers["Content-Security-Policy"]
    assert answer.status == 200
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/web/console.html", "/web/none.js", "/web/%2e%2e%2fcdk.json"])
def test_only_the_pages_own_files_are_served(stack: dict[str, str], path: str) -> None:
    assert urllib3.request("GET", stack["url"] + path).status == 404
