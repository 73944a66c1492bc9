// What a free plan's customer is asked for, as the console and the portal show it.

import { day, element, section } from "./page.js";

const CAUSES = {
  allowance_used_up: "What the plan includes is used up.",
  credits_below: "The plan's credits are used up, or nearly.",
  spend_over: "This period's usage is over what the plan is meant for.",
  choice: "The change was asked for.",
};

/** The call to add payment details while one is open, else nothing. */
export function conversionSections({ plan, conversion }) {
  if (conversion?.status !== "asked") return [];
  const { cause, converts_to: to, asked_at: asked, expires_at: until } = conversion;
  const call = `${CAUSES[cause]} With payment details, the plan changes from ${plan} to ${to} at that moment; `;
  const note = `Nothing used before is ever billed. Asked on ${day(asked)}, open until ${day(until)}.`;
  return [
    section(
      "Add payment details",
      element("p", "", `${call}without them, everything stays as it is.`),
      element("p", "", element("small", "", note)),
    ),
  ];
}
