"""Drives other vendors' Python clients, unmodified: only the address is ours.

Arguments: the address, a key, a name that makes this run's customers. Prints what the clients
gave back as one JSON object.
"""

import datetime as dt
import json
import sys
import time

import lago_python_client
import metering.customer
import metering.customer_portal_session
import metering.customer_prepaid_order
import metering.customer_product_invoice
import metering.ingest
import metering.usage
import openmeter
import stripe
from lago_python_client.exceptions import LagoApiError
from lago_python_client.models import BatchEvent
from lago_python_client.models import Event as LagoEvent
from metering.session import ApiSession, IngestSession
from openmeter.models import Event as CloudEvent

URL, KEY, RUN = sys.argv[1:]
METER = "vendor.units"
NOW = int(time.time())


def drive_openmeter() -> dict:
    client = openmeter.Client(endpoint=URL, token=KEY)
    instant = dt.datetime.fromtimestamp(NOW, dt.UTC)
    first, second = (
        CloudEvent(
            id=str(n), source="service", specversion="1.0", type=METER, time=instant,
            subject=f"openmeter-{RUN}", data={"value": n, "model": "large"},
        )
        for n in (1, 2)
    )  # fmt: skip
    client.events.ingest_event(first)
    client.events.ingest_events([first, second])
    answer = client.meters.query_json("vendor_units", window_size="HOUR", group_by=["model"])
    return {"window": answer["windowSize"], "csv": client.meters.query_csv("vendor_units")[:12]}


def drive_amberflo() -> dict:
    ApiSession.root_url = IngestSession.root_url = URL
    customer = f"amberflo-{RUN}"
    records = [
        metering.ingest.create_ingest_payload(
            METER, n + 0.5, NOW * 1000 + n, customer, {"model": "large"}, f"u{n}"
        )
        for n in (1, 2)
    ]
    sent = metering.ingest.IngestApiClient(KEY).send(records)
    failures = []
    producer = metering.ingest.create_ingest_client(
        api_key=KEY, on_error=lambda error, _: failures.append(str(error))
    )
    for record in records:
        producer.send(record)
    producer.shutdown()
    customers = metering.customer.CustomerApiClient(KEY)
    profile = metering.customer.create_customer_payload(customer, "Amber", traits={"a": "b"})
    saved = [customers.add_or_update(profile)["customerName"] for _ in range(2)]
    orders = metering.customer_prepaid_order.CustomerPrepaidOrderApiClient(KEY)
    order = metering.customer_prepaid_order.create_customer_prepaid_order_payload(
        f"order-{RUN}", customer, NOW, 10, original_worth=12.5, external_payment=True
    )
    worth = {orders.add(order)["originalWorth"] for _ in range(2)}
    interval = metering.usage.TimeGroupingInterval.MONTH
    asked = metering.usage.create_usage_query(
        metering.usage.AggregationType.SUM, METER, interval,
        metering.usage.TimeRange(NOW - 86400), ["customerId"], {"customerId": [customer]},
    )  # fmt: skip
    invoices = metering.customer_product_invoice
    latest = invoices.create_latest_invoice_query(customer)
    session = metering.customer_portal_session
    return {
        "sent": sent,
        "failures": failures,
        "saved": saved,
        "listed": customer in [each["customerId"] for each in customers.list()],
        "worth": list(worth),
        "cards": len(orders.list_active(customer)),
        "report": sorted(metering.usage.UsageApiClient(KEY).get(asked)),
        "reports": len(metering.usage.UsageApiClient(KEY).get([asked, asked])),
        "invoice": invoices.CustomerProductInvoiceApiClient(KEY).get(latest)["invoicePriceStatus"],
        "portal": session.CustomerPortalSessionApiClient(KEY).get(
            session.create_customer_portal_session_payload(customer)
        )["url"],
    }


def drive_lago() -> dict:
    client = lago_python_client.Client(api_key=KEY, api_url=URL)
    first, second = (
        LagoEvent(
            transaction_id=f"{RUN}-{n}", external_subscription_id=f"lago-{RUN}", code=METER,
            timestamp=NOW, properties={"value": n, "model": "large"},
        )
        for n in (1, 2)
    )  # fmt: skip
    made = client.events.create(first)
    refused = []
    for send in (
        lambda: client.events.create(first),
        lambda: client.events.batch_create(BatchEvent(events=[second, first])),
    ):
        try:
            send()
        except LagoApiError as error:
            refused.append([error.status_code, error.response["error_details"]])
    client.events.batch_create(BatchEvent(events=[second]))
    return {
        "made": made.transaction_id,
        "refused": refused,
        "found": client.events.find(second.transaction_id).external_subscription_id,
    }


def drive_stripe() -> dict:
    client = stripe.StripeClient(KEY, base_addresses={"api": URL, "meter_events": URL})
    customer = f"cus_{RUN}"

    def event(n: int) -> dict:
        payload = {"stripe_customer_id": customer, "value": str(n), "model": "large"}
        return {"event_name": METER, "identifier": str(n), "payload": payload}

    first = client.v1.billing.meter_events.create({**event(1), "timestamp": NOW})
    client.v1.billing.meter_events.create({**event(1), "timestamp": NOW})
    second = client.v2.billing.meter_events.create(event(2))
    session = client.v2.billing.meter_event_session.create()
    streaming = stripe.StripeClient(
        session.authentication_token, base_addresses={"api": URL, "meter_events": URL}
    )
    streaming.v2.billing.meter_event_stream.create({"events": [event(2), event(3)]})
    try:
        client.v1.billing.meter_events.create({**event(1), "timestamp": NOW - 40 * 86400 - 1})
        client.v1.billing.meter_events.create({**event(9), "timestamp": NOW - 40 * 86400})
    except stripe.InvalidRequestError as error:
        refused = [error.code, error.param]
    return {"first": first.identifier, "second": second.object, "refused": refused}


print(
    json.dumps(
        {
            "openmeter": drive_openmeter(),
            "amberflo": drive_amberflo(),
            "lago": drive_lago(),
            "stripe": drive_stripe(),
        }
    )
)
