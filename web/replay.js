// Replays: what customers would have paid for their past usage under another plan.

import { compare, sum } from "./exact.js";
import { button, card, day, decimal, element, readAll, section, table } from "./page.js";
import { choice, everyPage, report, segmentField, spanFields, spanOf } from "./report.js";

const REASONS = {
  "no-phase": "no phase of a plan begins in this time",
  "other-interval": "its plan is billed by another interval",
  "other-currency": "its plan is in another currency",
  "too-much": "more usage than one answer may read: ask about a shorter time",
  unratable: "its usage cannot be priced by one of the plans",
};

/** The page: a published plan fills in the draft, which may then be changed. */
export async function replayPage(read, write, select) {
  const [plans, segments] = await Promise.all([readAll(read, "/v1/plans"), readAll(read, "/v1/segments")]);
  const draft = element("textarea");
  draft.rows = 12;
  draft.spellcheck = false;
  const customers = element("input");
  customers.placeholder = "all, or keys with commas between them";
  const names = plans.map(({ key, version }) => [key, `${key} v${version}`]);
  const plan = choice([["", "pasted below"], ...names], "");
  plan.addEventListener("change", () => {
    const { key, version, ...body } = plans.find((each) => each.key === plan.value) ?? {};
    if (key) draft.value = JSON.stringify(body, null, 2);
  });
  draft.addEventListener("input", () => { plan.value = ""; });
  const whose = { Customers: customers, Segment: segmentField(segments) };
  const fields = { Plan: plan, ...spanFields(), ...whose, "The plan, as JSON": draft };
  const note = "Whole phases that begin in the time are charged anew by the code that bills. Nothing is changed.";
  const made = report("Replay", note, fields, async (told) => {
    const [from, to] = spanOf(fields);
    const question = {
      from,
      to,
      customers: customers.value.split(",").map((key) => key.trim()).filter(Boolean),
      ...(fields.Segment.value && { segment: fields.Segment.value }),
    };
    const ask = (cursor) => {
      const page = cursor ? { ...question, cursor } : question;
      return write("/v1/pricing/replay", request(draft.value, page));
    };
    return answer(await everyPage(ask, told), select);
  });
  return made.node;
}

/** The request's text: the plan goes as it was typed, as numbers may have more digits than a page can hold. */
function request(plan, question) {
  JSON.parse(plan);
  return `{"plan":${plan},${JSON.stringify(question).slice(1)}`;
}

function answer(pages, select) {
  const found = pages.flatMap(({ data }) => data);
  found.sort((a, b) => compare(a.difference, b.difference) || (a.customer < b.customer ? -1 : 1));
  const out = pages.flatMap(({ left_out }) => left_out);
  const compared = found.length
    ? [totals(pages), listing(found, pages[0].currency, select)]
    : [element("p", "", "Nobody to compare.")];
  return [
    ...compared,
    ...(out.length ? [section(`Left out: ${out.length}`, leftOut(out, select))] : []),
  ];
}

function totals(pages) {
  const { currency } = pages[0];
  const all = (of) => decimal(sum(pages.map(({ totals }) => of(totals))));
  const margin = (of) => `margin ${all((totals) => of(totals).margin)}`;
  return element(
    "div",
    "cards",
    card(`Before, ${currency}`, all(({ before }) => before.revenue), margin(({ before }) => before)),
    card(`After, ${currency}`, all(({ after }) => after.revenue), margin(({ after }) => after)),
    card("Difference", all(({ difference }) => difference), "what would have been paid more"),
    card("Winners", all(({ winners }) => String(winners)), "would have paid less"),
    card("Losers", all(({ losers }) => String(losers)), "would have paid more"),
  );
}

function listing(found, currency, select) {
  return table(
    [
      "Customer", "From", "To", "#Phases", `#Before, ${currency}`, "#After", "#Difference", "",
      "#Margin before", "#Margin after", "Usage",
    ],
    found.map(({ customer, start, end, phases, before, after, difference, recounted }) => [
      button(customer, () => select(customer)), day(start), day(end), decimal(phases),
      decimal(before.revenue), decimal(after.revenue), decimal(difference), judged(difference),
      decimal(before.margin), decimal(after.margin), recounted ? "as billed" : "not as billed",
    ]),
  );
}

function judged(difference) {
  return { "-1": "winner", 0: "", 1: "loser" }[compare(difference, "0")];
}

function leftOut(out, select) {
  return table(
    ["Customer", "Reason"],
    out.map(({ customer, reason }) => [button(customer, () => select(customer)), REASONS[reason]]),
  );
}
