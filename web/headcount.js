// Customers: how many there are, and how many came, began to pay and ceased to, by plan, state or segment.

import { card, decimal, element, readAll, table } from "./page.js";
import { address, choice, everyPage, report, segmentField, spanFields, spanOf } from "./report.js";

const GROUPS = ["plan", "state", "segment"];
const COUNTS = ["customers", "new", "converted", "cancelled"];

/** The page. */
export async function headcountPage(read) {
  const fields = {
    ...spanFields(),
    "Grouped by": choice([["", "nothing"], ...GROUPS.map((name) => [name, name])], "plan"),
    Segment: segmentField(await readAll(read, "/v1/segments")),
  };
  const note = "Customers are those at the end of the time; the others count what happened in it. Who converted "
    + "came to pay, by the plan that it came to; who cancelled ceased to, by the plan that it left.";
  return report("Customers", note, fields, async (told) => {
    const [from, to] = spanOf(fields);
    const group = fields["Grouped by"].value;
    const query = { from, to, group_by: group, segment: fields.Segment.value, limit: 1000 };
    const pages = await everyPage((cursor) => read(address("/v1/analytics/customers", { ...query, cursor })), told);
    const rows = together(pages.flatMap(({ data }) => data), group);
    if (!rows.length) return [element("p", "", "There were no customers, and nobody came or went.")];
    return [...totals(rows, group), ...(group ? [listing(rows, group)] : [])];
  }).node;
}

/** Rows of all pages, added up by group. */
function together(rows, group) {
  const nameOf = (row) => row.group[group] ?? "";
  const names = [...new Set(rows.map(nameOf))].sort();
  return names.map((name) => ({ name, ...added(rows.filter((row) => nameOf(row) === name)) }));
}

function added(rows) {
  return Object.fromEntries(COUNTS.map((name) => [name, rows.reduce((total, row) => total + row[name], 0)]));
}

/** What all rows come to; a customer may be in several segments, so these add up to nothing. */
function totals(rows, group) {
  if (group === "segment") return [];
  const { customers, ...flows } = added(rows);
  const cards = Object.entries(flows).map(([name, count]) => card(capital(name), decimal(count), "in the time"));
  return [element("div", "cards", card("Customers", decimal(customers), "at its end"), ...cards)];
}

function listing(rows, group) {
  const listed = rows.map((row) => [row.name || "(none)", ...COUNTS.map((name) => decimal(row[name]))]);
  return table([capital(group), ...COUNTS.map((name) => `#${capital(name)}`)], listed);
}

function capital(name) {
  return name[0].toUpperCase() + name.slice(1);
}
