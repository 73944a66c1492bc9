// Looking into usage: a meter by windows of time, drawn and listed. Its form stays while pages refresh.

import { button, decimal, element, section, table } from "./page.js";

const REFRESH_MS = 15_000;
const HOUR_MS = 3_600_000;
const QUARTER_MS = HOUR_MS / 4;
const DAY_MS = 24 * HOUR_MS;
const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 1000;
const HEIGHT = 180;
// As many groups as colours: what is left is one more.
const TOP = 7;
// Only these add up: a stack of averages or of distinct counts would be as high as nothing is.
const ADDITIVE = ["count", "sum"];
// How far back, in milliseconds, and the window that suits it.
const RANGES = {
  "last 24 hours": [DAY_MS, "hour"],
  "last 7 days": [7 * DAY_MS, "day"],
  "last 30 days": [30 * DAY_MS, "day"],
  "last 12 months": [365 * DAY_MS, "month"],
};

/**
 * A function that puts the section about usage into the node, anew where what it offers changes.
 * `select`, if any, is called with a customer's key.
 */
export function usageInto(node, read, select) {
  let shown = "";
  // What was chosen last stays chosen where it is still offered.
  const chosen = {};
  return (offered) => {
    const now = JSON.stringify(offered);
    if (now === shown) return;
    shown = now;
    node.replaceChildren(usageSection(read, { ...offered, select, chosen }));
  };
}

/** `meters` have key, aggregation and dimensions. A `customer` keeps it to one, without segments. */
function usageSection(read, { meters, segments = [], customer = "", timezone = "", select, chosen }) {
  const form = usageForm({ meters, segments, customer, timezone, chosen });
  const result = element("div");
  let timer = 0;
  let asked = 0;
  const run = async () => {
    clearTimeout(timer);
    const turn = ++asked;
    let shown;
    try {
      const asked = form.values();
      Object.assign(chosen, { meter: asked.meter, range: asked.range, window: asked.window });
      shown = await answer(read, asked, customer, select);
    } catch (error) {
      shown = [element("p", "failed", error.message)];
    }
    if (turn !== asked || !result.isConnected) return;
    const open = result.querySelector("details")?.open ?? false;
    result.replaceChildren(...shown);
    if (open) result.querySelector("details")?.setAttribute("open", "");
    timer = setTimeout(run, REFRESH_MS);
  };
  form.node.addEventListener("change", run);
  form.node.addEventListener("submit", (event) => event.preventDefault());
  // It runs once it is in the page.
  setTimeout(run, 0);
  return section(`Usage over time${customer && `, ${customer}`}`, form.node, result);
}

function usageForm({ meters, segments, customer, timezone, chosen }) {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const zones = ["UTC", ...Intl.supportedValuesOf("timeZone")];
  const fields = {
    meter: choice(meters.map(({ key }) => key), chosen.meter),
    range: choice(Object.keys(RANGES), chosen.range ?? "last 30 days"),
    window: choice(["hour", "day", "week", "month"], chosen.window ?? "day"),
    timezone: choice([...new Set(zones)], zones.includes(timezone) ? timezone : own),
    group: choice([]),
    segment: choice(["", ...segments], "", "everyone"),
  };
  const regroup = () => {
    const { dimensions = [] } = meters.find(({ key }) => key === fields.meter.value) ?? {};
    const names = [...(customer || dimensions.includes("customer") ? [] : ["customer"]), ...dimensions];
    const kept = fields.group.value;
    fields.group.replaceChildren(...options(["", ...names], names.includes(kept) ? kept : "", "nothing"));
  };
  fields.meter.addEventListener("change", regroup);
  fields.range.addEventListener("change", () => {
    fields.window.value = RANGES[fields.range.value][1];
  });
  regroup();
  const labels = { meter: "Meter", range: "Time", window: "By", timezone: "Zone", group: "Grouped by" };
  if (!customer) labels.segment = "Segment";
  const labelled = Object.entries(labels).map(([name, text]) => element("label", "", text, fields[name]));
  const node = element("form", "filters", ...labelled);
  const values = () => ({
    ...Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value])),
    aggregation: meters.find(({ key }) => key === fields.meter.value)?.aggregation,
  });
  return { node, values };
}

function choice(values, chosen = "", empty = "") {
  const made = element("select");
  made.append(...options(values, chosen, empty));
  return made;
}

function options(values, chosen, empty) {
  return values.map((value) => {
    const made = element("option", "", value || empty);
    made.value = value;
    made.selected = value === chosen;
    return made;
  });
}

async function answer(read, asked, customer, select) {
  if (!asked.meter) return [element("p", "", "No meters yet.")];
  const whose = { meter: asked.meter, customer, segment: customer ? "" : asked.segment };
  // The present is the server's, and for a customer on a test clock that clock's.
  const { to } = await read(address(whose));
  const [span, step] = RANGES[asked.range];
  const from = aligned(new Date(new Date(to) - span), asked.timezone, step);
  const top = asked.group ? { group_by: asked.group, top: TOP, rest: true } : {};
  const query = { ...whose, ...top, from: from.toISOString(), to, timezone: asked.timezone };
  const [total, series] = await Promise.all([
    read(address({ ...query, window: "total" })),
    read(address({ ...query, window: asked.window, fill: true })),
  ]);
  const groups = groupsOf(total, asked.group);
  if (!groups.length) return [element("p", "", "No usage in this time.")];
  const windows = windowsOf(series, groups, asked.group);
  const stacked = ADDITIVE.includes(asked.aggregation);
  const drill = asked.group === "customer" && select ? select : undefined;
  return [chart(windows, groups, stacked, asked.timezone), listing(groups, asked, drill), details(windows, groups, asked)];
}

function address(query) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value !== undefined);
  return `/v1/usage?${new URLSearchParams(given)}`;
}

/** The instant, moved back to the zone's full hour, or by as much as its clocks are past midnight. */
function aligned(instant, timeZone, step) {
  const clock = new Intl.DateTimeFormat("en", { timeZone, hour: "numeric", minute: "numeric", hourCycle: "h23" });
  const shown = Object.fromEntries(clock.formatToParts(instant).map(({ type, value }) => [type, Number(value)]));
  const past = (step === "hour" ? 0 : shown.hour * HOUR_MS) + shown.minute * 60_000;
  return new Date(Math.floor((instant - past) / QUARTER_MS) * QUARTER_MS);
}

/** Each group with its value over the whole time: by rank, what is left at the end. */
function groupsOf(total, name) {
  const groups = total.data.map((row) => ({
    id: identity(row, name),
    label: name ? row.group[name] || "(none)" : "all",
    value: row.value,
    note: row.other ? "values over the cap" : "",
    key: row.group[name] ?? "",
  }));
  const named = { id: "rest", label: "all others", note: "", key: "" };
  const left = (total.rest ?? []).map(({ value }) => ({ ...named, value }));
  return [...groups, ...left];
}

function identity(row, name) {
  return `${row.other ? "other" : "group"} ${row.group[name] ?? ""}`;
}

/** Each window with the value of each group, null where there is none. */
function windowsOf(series, groups, name) {
  const windows = new Map();
  const put = (row, id) => {
    if (!windows.has(row.start)) windows.set(row.start, { start: row.start, end: row.end, values: {} });
    windows.get(row.start).values[id] = row.value;
  };
  series.data.forEach((row) => put(row, identity(row, name)));
  (series.rest ?? []).forEach((row) => put(row, "rest"));
  return [...windows.values()].map((window) => ({
    ...window,
    values: groups.map(({ id }) => window.values[id] ?? null),
  }));
}

function shape(name, attributes, ...children) {
  const made = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
  made.append(...children);
  return made;
}

/** Bars: stacked where groups add up, otherwise side by side. Below zero they hang. */
function chart(windows, groups, stacked, zone) {
  const heights = windows.map(({ values }) => {
    const numbers = values.map((value) => Number(value ?? 0));
    const sum = (sign) => numbers.filter((n) => n * sign > 0).reduce((a, b) => a + b, 0);
    return stacked ? [sum(1), sum(-1)] : [Math.max(0, ...numbers), Math.min(0, ...numbers)];
  });
  const high = Math.max(...heights.map(([up]) => up), 0);
  const low = Math.min(...heights.map(([, down]) => down), 0);
  const unit = HEIGHT / (high - low || 1);
  const step = WIDTH / windows.length;
  const bars = windows.flatMap((window, at) => barsOf(window, groups, { at, step, unit, high, stacked, zone }));
  const ground = high > low ? high * unit : HEIGHT;
  const zero = shape("line", { class: "zero", x1: 0, x2: WIDTH, y1: ground, y2: ground });
  const frame = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" };
  const drawn = shape("svg", { ...frame, class: "chart", role: "img", "aria-label": "Usage over time" }, ...bars, zero);
  const told = [local(windows[0].start, zone), `greatest ${decimal(plain(high))}`, local(windows.at(-1).end, zone)];
  return element("figure", "", drawn, element("div", "axis", ...told.map((text) => element("span", "", text))));
}

function barsOf(window, groups, { at, step, unit, high, stacked, zone }) {
  const ends = [0, 0];
  const gap = Math.min(4, step * 0.2);
  const width = (step - gap) / (stacked ? 1 : groups.length);
  return window.values.flatMap((text, number) => {
    const value = Number(text ?? 0);
    if (!value) return [];
    const side = value > 0 ? 0 : 1;
    const base = stacked ? ends[side] : 0;
    ends[side] += value;
    const y = (high - Math.max(base, base + value)) * unit;
    const x = at * step + gap / 2 + (stacked ? 0 : number * width);
    const told = shape("title", {}, `${groups[number].label}: ${decimal(text)}\n${local(window.start, zone)} to ${local(window.end, zone)}`);
    return [shape("rect", { class: `s${number}`, x, y, width, height: Math.abs(value) * unit }, told)];
  });
}

/** A number for the axis, to four digits. */
function plain(number) {
  return Number(number.toPrecision(4)).toLocaleString("en", { useGrouping: false, maximumFractionDigits: 9 });
}

function listing(groups, asked, drill) {
  const rows = groups.map((group, number) => {
    const name = drill && group.id !== "rest" ? button(group.label, () => drill(group.key)) : group.label;
    const named = element("span", "", element("span", `swatch s${number}`), name);
    return [named, group.note, group.value === null ? "" : decimal(group.value)];
  });
  return table([asked.group || asked.meter, "", `#${asked.aggregation.replace("_", " ")}`], rows);
}

function details(windows, groups, asked) {
  const rows = windows
    .filter(({ values }) => values.some((value) => value !== null && Number(value)))
    .map(({ start, end, values }) => [
      local(start, asked.timezone),
      local(end, asked.timezone),
      ...values.map((value) => (value === null ? "" : decimal(value))),
    ]);
  const made = element("details", "", element("summary", "", "Windows"));
  made.append(table(["From", "To", ...groups.map(({ label }) => `#${label}`)], rows));
  return made;
}

/** The instant as the zone's clocks show it. */
function local(text, timeZone) {
  return new Date(text).toLocaleString("sv", { timeZone, dateStyle: "short", timeStyle: "short" });
}
