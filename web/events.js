// A customer's newest events, for operators, who may cancel or correct them.

import { button, element, minute, section, table } from "./page.js";

/** The newest twenty; `meterline events list` has them all. `write` needs a key with `admin`. */
export async function eventsSection(read, write, customer, refresh) {
  const { data } = await read(`/v1/events?customer=${encodeURIComponent(customer)}&limit=20`);
  if (!data.length) return section("Events", element("p", "", "None in the last weeks."));
  const correct = (event, change) =>
    write("/v1/events/correction", correction(event, change)).then(refresh, ({ message }) => alert(message));
  return section("Events", table(
    ["Time", "Type", "Source and id", "Data", "Now", ""],
    data.map((event) => [
      minute(event.time), event.type, `${event.source} ${event.id}`, JSON.stringify(event.data), now(event),
      actions(event, correct),
    ]),
  ));
}

/** What counts of an event: as it was sent, other data, nothing, or nothing yet. */
function now({ status, corrections, meters, uncounted }) {
  const last = corrections.at(-1);
  if (last) return last.cancel ? "cancelled" : `corrected: ${JSON.stringify(last.data)}`;
  if (status === "quarantined") return "in quarantine";
  if (meters.length) return "";
  const why = Object.entries(uncounted).map(([meter, reason]) => `${meter}: ${reason}`);
  return why.length ? `not counted (${why.join(", ")})` : "unmetered";
}

function actions(event, correct) {
  if (event.corrections.at(-1)?.cancel) return "";
  const cancel = button("cancel", () => {
    if (confirm(`Event ${event.id} shall count no more, for ever?`)) correct(event, '"cancel":true');
  });
  const replace = button("correct", () => {
    const data = prompt(`All of the data that shall count instead of that of event ${event.id}, as JSON`);
    if (data) correct(event, `"data":${data}`);
  });
  return element("span", "choices", cancel, " ", replace);
}

/** The request's text: data goes as it was typed, as numbers may have more digits than a page can hold. */
function correction({ subject, source, id }, change) {
  return `${JSON.stringify({ customer: subject, source, id }).slice(0, -1)},${change}}`;
}
