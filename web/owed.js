// Credits owed: what was open, came, went and is held, of each unit; and what that is in money.

import { sum } from "./exact.js";
import { button, card, decimal, element, readAll, section, table } from "./page.js";
import { address, choice, everyPage, report, segmentField, spanFields, spanOf } from "./report.js";

const FLOWS = ["opening", "issued", "used", "expired", "voided", "held"];
const MONEY = ["liability", "revenue", "breakage"];

/** The page. `select` is called with a customer's key. */
export async function owedPage(read, _, select) {
  const fields = {
    ...spanFields(),
    Rows: choice([["", "of all customers together"], ["customer", "of each customer"]], ""),
    Segment: segmentField(await readAll(read, "/v1/segments")),
  };
  const note = "Opening + issued = used + expired + voided + held. In money, at what was paid for them: what is held "
    + "is owed, what was used is revenue, what expired is breakage. Credits that a plan includes are a part of its fee.";
  const made = report("Credits owed", note, fields, async (told) => {
    const [from, to] = spanOf(fields);
    const query = { from, to, group_by: fields.Rows.value, segment: fields.Segment.value, limit: 1000 };
    const pages = await everyPage((cursor) => read(address("/v1/analytics/credits", { ...query, cursor })), told);
    const rows = together(pages.flatMap(({ data }) => data));
    if (!rows.length) return [element("p", "", "No credits were held, given or used in this time.")];
    const units = Map.groupBy(rows, ({ unit }) => unit);
    return [liabilities(rows), ...[...units].map(([unit, same]) => section(unit, rollForward(same, select)))];
  });
  return made.node;
}

/** Rows of all pages, added up by customer, unit, source and basis. */
function together(rows) {
  const kinds = Map.groupBy(rows, (row) =>
    JSON.stringify([row.customer, row.unit, row.source, row.cost_basis, row.currency]));
  return [...kinds.values()].map((same) => ({ ...same[0], ...added(same, [...FLOWS, ...MONEY]) }));
}

function added(rows, names) {
  return Object.fromEntries(names.map((name) => [name, sum(rows.map((row) => row[name]))]));
}

/** What is owed in each currency: credits that nobody paid for are owed to nobody in money. */
function liabilities(rows) {
  const paid = Map.groupBy(rows.filter(({ currency }) => currency), ({ currency }) => currency);
  const cards = [...paid].map(([currency, same]) => {
    const { liability, revenue, breakage } = added(same, MONEY);
    return card(`Owed, ${currency}`, decimal(liability), `revenue ${decimal(revenue)}, breakage ${decimal(breakage)}`);
  });
  return element("div", "cards", ...cards);
}

function rollForward(rows, select) {
  const grouped = rows[0].customer !== undefined;
  const total = added(rows, FLOWS);
  const amounts = (row) => FLOWS.map((name) => decimal(row[name]));
  const listed = rows.map((row) => [
    ...(grouped ? [button(row.customer, () => select(row.customer))] : []),
    row.source,
    row.cost_basis === null ? "given" : `${decimal(row.cost_basis)} ${row.currency}`,
    ...amounts(row),
    ...MONEY.map((name) => (row.currency ? decimal(row[name]) : "")),
  ]);
  const blank = grouped ? ["", ""] : [""];
  return table(
    [
      ...(grouped ? ["Customer"] : []), "Source", "Paid for each",
      ...[...FLOWS, ...MONEY].map((name) => `#${name[0].toUpperCase()}${name.slice(1)}`),
    ],
    [...listed, ["Total", ...blank, ...amounts(total), "", "", ""]],
  );
}
