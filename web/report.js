// What the reports share: a form about time and customers, and answers read page by page.

import { ApiError, element, section } from "./page.js";

// First and last month from the present one, the last one not included.
const SPANS = {
  "this month": [0, 1],
  "last month": [-1, 0],
  "last 3 months": [-3, 0],
  "last 12 months": [-12, 0],
};

/** A list of [value, text] to choose from. */
export function choice(options, chosen) {
  const made = element("select");
  const each = options.map(([value, text]) => {
    const option = element("option", "", text);
    option.value = value;
    option.selected = value === chosen;
    return option;
  });
  made.append(...each);
  return made;
}

/** The fields for a time in whole days of UTC: one of the spans fills in the dates. */
export function spanFields() {
  const [from, to] = [dateField(), dateField()];
  const span = choice(["", ...Object.keys(SPANS)].map((name) => [name, name || "these days"]), "this month");
  const fill = () => {
    if (!span.value) return;
    const now = new Date();
    const first = (months) => new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + months, 1));
    [from.value, to.value] = SPANS[span.value].map((months) => first(months).toISOString().slice(0, 10));
  };
  span.addEventListener("change", fill);
  for (const field of [from, to]) field.addEventListener("change", () => { span.value = ""; });
  fill();
  return { "Time (UTC)": span, From: from, "To, not included": to };
}

function dateField() {
  const made = element("input");
  made.type = "date";
  made.required = true;
  return made;
}

/** The fields' [from, to] as the API takes them. */
export function spanOf(fields) {
  return [fields.From, fields["To, not included"]].map(({ value }) => `${value}T00:00:00Z`);
}

/** The segments to choose from, or everyone. */
export function segmentField(segments) {
  return choice([["", "everyone"], ...segments.map(({ key, name }) => [key, name])], "");
}

/**
 * A section with a form, and below it what `answer` makes when the form is sent.
 *
 * `answer` is called with a function for `everyPage`, which ends it when there is a newer question.
 */
export function report(title, note, fields, answer) {
  const result = element("div");
  const labelled = Object.entries(fields).map(([text, field]) => element("label", "", text, field));
  const form = element("form", "filters", ...labelled, element("button", "", "Show"));
  let turn = 0;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const mine = ++turn;
    const show = (...shown) => {
      if (mine !== turn || !result.isConnected) throw new ApiError(0, "There is a newer question.");
      result.replaceChildren(...shown);
    };
    try {
      show(element("p", "", "Reading…"));
      show(...(await answer((count) => show(element("p", "", `Reading… ${count} customers so far.`)))));
    } catch (error) {
      if (mine === turn) result.replaceChildren(element("p", "failed", error.message));
    }
  });
  const node = section(title, element("p", "", element("small", "", note)), form, result);
  return { node, send: () => form.requestSubmit() };
}

/** The pages that `readPage` gives for one cursor after the other; `told` hears how many were asked about. */
export async function everyPage(readPage, told) {
  const pages = [];
  let [cursor, count] = ["", 0];
  do {
    const page = await readPage(cursor);
    pages.push(page);
    count += page.customers ?? page.data.length + (page.left_out ?? []).length;
    cursor = page.next_cursor;
    if (cursor) told(count);
  } while (cursor);
  return pages;
}

/** The path with the parameters that have a value. */
export function address(path, query) {
  return `${path}?${new URLSearchParams(Object.entries(query).filter(([, value]) => value))}`;
}
