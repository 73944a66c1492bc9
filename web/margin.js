// Revenue and margin: what was earned, what serving it cost, by customer, plan, meter or segment.

import { percent, sum } from "./exact.js";
import { button, card, day, decimal, element, readAll, table } from "./page.js";
import { address, choice, everyPage, report, segmentField, spanFields, spanOf } from "./report.js";

const GROUPS = ["customer", "plan", "meter", "segment"];
const WINDOWS = ["total", "day", "week", "month"];
const AMOUNTS = ["revenue", "cost", "margin", "accrued", "invoiced"];

/** The page. `select` is called with a customer's key. */
export async function marginPage(read, _, select) {
  const fields = {
    ...spanFields(),
    Window: choice(WINDOWS.map((name) => [name, name === "total" ? "all of it" : name]), "total"),
    "Grouped by": choice([["", "nothing"], ...GROUPS.map((name) => [name, name])], "customer"),
    Segment: segmentField(await readAll(read, "/v1/segments")),
  };
  // The one plan, meter or segment that was opened.
  let only = null;
  const open = (name, value) => {
    only = { name, value };
    fields["Grouped by"].value = "customer";
    made.send();
  };
  const close = () => {
    fields["Grouped by"].value = only.name;
    only = null;
    made.send();
  };
  const note = "Revenue is what was earned in the time, not what was invoiced; cost is that of the "
    + "usage of the time, by the cost rates of its meters.";
  const made = report("Revenue & margin", note, fields, async (told) => {
    const group = fields["Grouped by"].value;
    if (group !== "customer") only = null;
    const [from, to] = spanOf(fields);
    const window = fields.Window.value;
    const grouped = [...(only ? [only.name] : []), ...(group ? [group] : [])];
    const query = { from, to, window, group_by: grouped.join(","), segment: fields.Segment.value, limit: 1000 };
    const pages = await everyPage((cursor) => read(address("/v1/analytics/margin", { ...query, cursor })), told);
    const all = together(pages.flatMap(({ data }) => data));
    if (!only) return [...totals(all, group), listing(all, group, window, { select, open }), ...uncosted(pages)];
    const rows = all.filter((row) => row.group[only.name] === only.value);
    const opened = element("p", "choices", `${only.name} ${only.value || "(none)"}`, button("close", close));
    return [opened, ...totals(rows, group), listing(rows, group, window, { select, open })];
  });
  return made.node;
}

/** Rows of all pages, added up by window, currency and group. */
function together(rows) {
  const found = new Map();
  for (const row of rows) {
    const id = JSON.stringify([row.start, row.currency, row.group]);
    if (!found.has(id)) found.set(id, []);
    found.get(id).push(row);
  }
  return [...found.values()].map((same) => ({ ...same[0], ...amounts(same), parts: parts(same) }));
}

function amounts(rows) {
  return Object.fromEntries(AMOUNTS.map((name) => [name, sum(rows.map((row) => row[name]))]));
}

function parts(rows) {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row.parts)))].sort();
  return Object.fromEntries(names.map((name) => [name, sum(rows.map((row) => row.parts[name] ?? "0"))]));
}

/** What all rows come to in each currency; a customer may be in several segments, so these add up to nothing. */
function totals(rows, group) {
  if (group === "segment") return [];
  const cards = [...new Set(rows.map(({ currency }) => currency))].sort().flatMap((currency) => {
    const { revenue, cost, margin } = amounts(rows.filter((row) => row.currency === currency));
    return [
      card(`Revenue, ${currency}`, decimal(revenue), "earned"),
      card(`Cost, ${currency}`, decimal(cost), "of serving usage"),
      card(`Margin, ${currency}`, decimal(margin), percent(margin, revenue)),
    ];
  });
  return [element("div", "cards", ...cards)];
}

function listing(rows, group, window, { select, open }) {
  if (!rows.length) return element("p", "", "Nothing was earned or used in this time.");
  const named = ({ [group]: value }) => {
    if (group === "customer") return button(value, () => select(value));
    return button(value || "(none)", () => open(group, value));
  };
  const windows = window !== "total";
  return table(
    [
      ...(group ? [group[0].toUpperCase() + group.slice(1)] : []), ...(windows ? ["From", "To"] : []),
      "Currency", "#Revenue", "Of which", "#Cost", "#Margin", "#Of revenue", "#Not invoiced yet", "#Invoiced then",
    ],
    rows.map((row) => [
      ...(group ? [named(row.group)] : []), ...(windows ? [day(row.start), day(row.end)] : []),
      row.currency, decimal(row.revenue),
      Object.entries(row.parts).map(([name, amount]) => `${name} ${decimal(amount)}`).join(", "),
      decimal(row.cost), decimal(row.margin), percent(row.margin, row.revenue),
      decimal(row.accrued), decimal(row.invoiced),
    ]),
  );
}

/** Usage that no cost rate takes: the margin is too good by what it cost. */
function uncosted(pages) {
  const found = Map.groupBy(pages.flatMap((page) => page.uncosted), ({ meter }) => meter);
  if (!found.size) return [];
  const rows = [...found].map(([meter, same]) => [meter, decimal(sum(same.map(({ quantity }) => quantity)))]);
  return [element("h2", "", "Usage that no cost rate takes"), table(["Meter", "#Quantity"], rows)];
}
