// The operator's page: usage of every meter, quarantine, and the customers by segment.

import { cataloguePage } from "./catalogue.js";
import { changesOf } from "./changes.js";
import { customerSections } from "./customer.js";
import { eventsSection } from "./events.js";
import { headcountPage } from "./headcount.js";
import { marginPage } from "./margin.js";
import { owedPage } from "./owed.js";
import {
  askFor, button, card, decimal, element, fromFragment, keepFresh, minute, readAll, reader, section,
  table, writer,
} from "./page.js";
import { replayPage } from "./replay.js";
import { usageInto } from "./usage.js";

const STORED = "meterline-key";
const HOUR_MS = 3_600_000;
const QUARTER_MS = HOUR_MS / 4;
// A total over all customers reads each one's hours: seldom enough to keep the page quick.
const TOTALS_MS = 15_000;
// The first page refreshes itself. Reports are made once and keep their answers, the catalogue is read anew.
const HOME = "Usage & customers";
const REPORTS = {
  "Revenue & margin": marginPage, "Credits owed": owedPage, Customers: headcountPage, Replay: replayPage,
};
const PAGES = { ...REPORTS, Catalogue: cataloguePage };

/** The last 24 hours, to the quarter hour, and the calendar month in UTC. */
function spans() {
  const now = new Date();
  const end = new Date(Math.ceil(now / QUARTER_MS) * QUARTER_MS);
  const month = (offset) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + offset, 1));
  return { day: [new Date(end - 24 * HOUR_MS), end], month: [month(0), month(1)] };
}

async function total(read, meter, [from, to]) {
  const query = new URLSearchParams({ meter, from: from.toISOString(), to: to.toISOString(), window: "total" });
  const { data } = await read(`/v1/usage?${query}`);
  return data.length ? data[0].value : "0";
}

/** A function that gives the last known total at once and asks again when it is old; "–" failed. */
function keptTotals(read) {
  const kept = new Map();
  return (meter, name, span) => {
    const id = `${name} ${meter}`;
    if (!kept.has(id)) kept.set(id, { text: "…", askAt: 0 });
    const known = kept.get(id);
    if (Date.now() >= known.askAt) {
      known.askAt = Infinity;
      total(read, meter, span)
        .then((value) => decimal(value), () => "–")
        .then((text) => Object.assign(known, { text, askAt: Date.now() + TOTALS_MS }));
    }
    return known.text;
  };
}

function meterRow(totalOf, meter) {
  const values = Object.entries(spans()).map(([name, span]) => totalOf(meter.key, name, span));
  const key = meter.archived_since ? `${meter.key} (archived)` : meter.key;
  return [key, meter.aggregation, meter.event_type, ...values];
}

/** The newest fifty; `meterline quarantine list` has them all. */
function quarantineTable(records) {
  const rows = records.slice(0, 50).map((record) => [
    record.customer,
    minute(record.quarantined_at),
    record.reason,
    record.detail,
    record.event_key,
  ]);
  return table(["Customer", "Since", "Reason", "Detail", "Event key"], rows);
}

/** How far the backfills of new meters are. */
function backfillsTable(backfills) {
  const rows = backfills.map((each) => [
    each.meter, each.state, minute(each.requested_at), `${each.done} of ${each.customers ?? "?"}`,
    decimal(each.events),
  ]);
  return table(["Meter", "State", "Ordered", "#Customers", "#Events"], rows);
}

/** The first fifty types: the kinds of each property, and the meters that read it. */
function eventTypesTable(types) {
  const rows = types.flatMap((seen) => {
    const properties = seen.properties.map(({ name, kinds, meters }) => [
      name, kinds.join(", ") || "never seen", meters.join(", "),
    ]);
    if (seen.overflow) properties.push(["…", "there were more", ""]);
    const [first = ["", "", ""], ...others] = properties;
    return [
      [seen.type, minute(seen.first_seen), minute(seen.last_seen), ...first],
      ...others.map((property) => ["", "", "", ...property]),
    ];
  });
  return table(["Type", "First seen", "Last seen", "Property", "Kinds", "Meters"], rows);
}

/** Names to choose from, as [value, name]; the chosen one is no button. */
function choices(names, chosen, choose) {
  return names.map(([value, name]) => (value === chosen ? element("strong", "", name) : button(name, () => choose(value))));
}

/** The names of the segments, to keep the list of customers to one. */
function segmentChoice(segments, chosen, choose) {
  const names = [["", "all"], ...segments.map(({ key, name }) => [key, name])];
  return element("p", "choices", ...choices(names, chosen, choose));
}

async function overview(read, { totalOf, showUsage, select, segment, choose }) {
  const [
    customers, meters, segments, backfills, types, quarantine, reconciliation,
  ] = await Promise.all([
    readAll(read, `/v1/customers${segment && `?segment=${segment}`}`),
    readAll(read, "/v1/meters"),
    readAll(read, "/v1/segments"),
    read("/v1/backfills"),
    read("/v1/event-types?limit=50"),
    readAll(read, "/v1/quarantine"),
    read("/v1/reconciliation"),
  ]);
  showUsage({ meters, segments: segments.map(({ key }) => key) });
  const contradicted = reconciliation.data.map(({ customer }) => customer).join(", ");
  const rows = meters.map((meter) => meterRow(totalOf, meter));
  const listed = customers.map((customer) => [
    button(customer.key, () => select(customer.key)),
    customer.name,
    minute(customer.created_at),
    customer.test_clock ?? "",
  ]);
  return [
    element(
      "div",
      "cards",
      card("Customers", decimal(customers.length), segment && `in ${segment}`),
      card("Meters", decimal(meters.length), ""),
      card("In quarantine", decimal(quarantine.length), "records that could not be applied"),
      card(
        "Found right",
        reconciliation.clean_at ? minute(reconciliation.clean_at) : "not yet",
        contradicted ? `numbers contradict: ${contradicted}` : "raw events against all totals",
      ),
    ),
    section("Usage, all customers", table(["Meter", "Aggregation", "Event type", "#Last 24 hours", "#This month"], rows)),
    section(
      "Customers",
      ...(segments.length ? [segmentChoice(segments, segment, choose)] : []),
      table(["Key", "Name", "Since", "Test clock"], listed),
    ),
    ...(backfills.data.length ? [section("Backfills", backfillsTable(backfills.data))] : []),
    section("Event types", eventTypesTable(types.data)),
    ...(quarantine.length ? [section("In quarantine", quarantineTable(quarantine))] : []),
  ];
}

/** A place that the page comes into once it is made, or why it cannot be. */
function placeOf(making) {
  const place = element("div", "", "Reading…");
  making.catch(({ message }) => element("p", "failed", message)).then((page) => place.replaceChildren(page));
  return place;
}

function start(key) {
  sessionStorage.setItem(STORED, key);
  const [read, write] = [reader(key), writer(key)];
  const totalOf = keptTotals(read);
  const [pages, report, usage] = ["pages", "report", "usage"].map((id) => document.getElementById(id));
  const kept = {};
  let page = HOME;
  let selected = "";
  let invoice = "";
  let segment = "";
  const made = (name) => placeOf(PAGES[name](read, write, select));
  const open = (name) => {
    page = name;
    pages.replaceChildren(...choices([HOME, ...Object.keys(PAGES)].map((each) => [each, each]), page, open));
    usage.hidden = page !== HOME;
    if (REPORTS[page]) kept[page] ??= made(page);
    report.replaceChildren(...(page === HOME ? [] : [kept[page] ?? made(page)]));
    refresh();
  };
  const select = (customer) => {
    [selected, invoice] = [customer, ""];
    open(HOME);
  };
  const choose = (chosen) => {
    segment = chosen;
    refresh();
  };
  const showUsage = usageInto(usage, read, select);
  const show = (id) => {
    invoice = id === invoice ? "" : id;
    refresh();
  };
  const render = async () => {
    if (page !== HOME) return null;
    if (!selected) return overview(read, { totalOf, showUsage, select, segment, choose });
    const { timezone } = await read(`/v1/customers/${encodeURIComponent(selected)}`);
    showUsage({ meters: await readAll(read, "/v1/meters"), customer: selected, timezone });
    const back = button("← all customers", () => select(""));
    const changes = changesOf(write, selected, () => refresh());
    const sections = await customerSections(read, selected, invoice, show, changes);
    const events = await eventsSection(read, write, selected, () => refresh());
    return [element("p", "", back), element("h2", "", selected), ...sections, events];
  };
  const refresh = keepFresh(render, () => {
    sessionStorage.removeItem(STORED);
    [pages, report, usage].forEach((node) => node.replaceChildren());
    askFor("API key with the scope read", start);
  });
  open(HOME);
}

const key = fromFragment("key") || sessionStorage.getItem(STORED);
if (key) start(key);
else askFor("API key with the scope read", start);
