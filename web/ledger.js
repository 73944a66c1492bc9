// The history of a customer's credits: what moved them, newest first, and what was left.

import { sum } from "./exact.js";
import { decimal, element, minute, section, table } from "./page.js";

const SHOWN = 20;

/** Where to read what `creditsHistory` shows. */
export function historyPath(base) {
  return `${base}/ledger?order=desc&limit=${SHOWN}`;
}

/** The newest entries that moved credits; `meterline ledger` and the API have them all. */
export function creditsHistory({ data }) {
  const moved = data.filter(({ changes }) => changes.length);
  if (!moved.length) return section("Credits history", element("p", "", "Nothing has moved yet."));
  const rows = moved.flatMap((entry) =>
    [...totals(entry.changes)].map(([unit, amount], number) => [
      number ? "" : minute(entry.at),
      number ? "" : [entry.kind, ...causes(entry.cause)].join(", "),
      unit.replace("meter:", "included "),
      signed(amount),
      decimal(entry.balance_after[unit]),
    ]),
  );
  return section("Credits history", table(["Time (UTC)", "What", "Unit", "#Moved", "#Left"], rows));
}

/** What an entry moved of each unit, over all its grants. */
function totals(changes) {
  const found = new Map();
  for (const { unit, amount } of changes) found.set(unit, [...(found.get(unit) ?? []), amount]);
  return new Map([...found].map(([unit, amounts]) => [unit, sum(amounts)]));
}

function signed(amount) {
  return amount.startsWith("-") ? decimal(amount) : `+${decimal(amount)}`;
}

/** What is known of the cause, such as how many usages, which grant, which plan. */
function causes(cause) {
  return Object.entries(cause).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
}
