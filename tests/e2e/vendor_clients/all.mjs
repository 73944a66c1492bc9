// Drives other vendors' JavaScript clients, unmodified: only the address is ours.
// Arguments: the address, a key, a name that makes this run's customers.
import { OpenMeter } from "@openmeter/sdk";
import { Client, getLagoError } from "lago-javascript-client";
import Stripe from "stripe";

const [url, key, run] = process.argv.slice(2);
const type = "vendor.units";
const now = Math.floor(Date.now() / 1000);

const openmeter = new OpenMeter({ baseUrl: url, apiKey: key });
const event = { id: "1", source: "js", type, subject: `openmeter-${run}`, data: { value: 4 } };
await openmeter.events.ingest(event);
await openmeter.events.ingest([event, { ...event, id: "2", data: { value: 5 } }]);
const queried = await openmeter.meters.query("vendor_units", {
  from: new Date((now - 86400) * 1000),
  windowSize: "DAY",
  filterGroupBy: { model: "large" },
});

const lago = Client(key, { baseUrl: `${url}/api/v1` });
const sent = {
  transaction_id: `js-${run}`,
  external_subscription_id: `lago-${run}`,
  code: type,
  timestamp: now + 0.5,
  properties: { value: 4 },
};
const made = await lago.events.createEvent({ event: sent });
let refused;
try {
  await lago.events.createEvent({ event: sent });
} catch (error) {
  refused = (await getLagoError(error)).error_details;
}
const found = await lago.events.findEvent(sent.transaction_id);

const { hostname, port } = new URL(url);
const stripe = new Stripe(key, { host: hostname, port, protocol: "http" });
const payload = { stripe_customer_id: `cus_${run}`, value: "4" };
const first = await stripe.billing.meterEvents.create({ event_name: type, payload });
const second = await stripe.v2.billing.meterEvents.create({ event_name: type, payload });

console.log(
  JSON.stringify({
    openmeter: queried.windowSize,
    lago: [made.data.event.transaction_id, refused, found.data.event.code],
    stripe: [first.object, second.object, first.identifier !== second.identifier],
  }),
);
