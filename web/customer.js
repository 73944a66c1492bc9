// One customer's usage, balance and invoices; the console and the portal show the same.

import { conversionSections } from "./conversion.js";
import { creditsHistory, historyPath } from "./ledger.js";
import { button, card, day, decimal, element, minute, section, table } from "./page.js";
import { rewardSections } from "./rewards.js";

/**
 * The sections about a customer. `shown` is the id of the past invoice that is unfolded.
 * `changes`, if any, are what its buttons do, as `changesOf` makes them.
 */
export async function customerSections(read, customer, shown, show, changes) {
  const base = `/v1/customers/${encodeURIComponent(customer)}`;
  const [
    subscription, balances, upcoming, invoices, entitlements, conversion, coupons, history, ...earned
  ] = await Promise.all([
    read(`${base}/subscription`),
    read(`${base}/balance`),
    read(`${base}/invoices/upcoming`),
    read(`${base}/invoices?limit=100`),
    read(`${base}/entitlements`),
    read(`${base}/conversion`),
    read(`${base}/coupons`),
    read(historyPath(base)),
    read(`${base}/rewards`),
    read(`${base}/earnings`),
  ]);
  const unfolded = invoices.data.find((invoice) => invoice.id === shown);
  return [
    element("div", "cards", ...cards(subscription, balances.data, upcoming)),
    ...conversionSections(conversion),
    section("Usage this period", usage(upcoming)),
    section("Credits", grants(balances.data)),
    creditsHistory(history),
    ...(entitlements.data.length ? [section("Included in the plan", included(entitlements.data))] : []),
    ...scheduled(subscription, changes),
    ...addOns(subscription.add_ons, changes),
    ...couponSections(coupons.data, changes),
    ...rewardSections(...earned, changes),
    section("Upcoming invoice", invoiceTable(upcoming)),
    section("Invoices", pastInvoices(invoices.data, show)),
    ...(unfolded ? [section(`Invoice ${unfolded.number}`, invoiceTable(unfolded))] : []),
  ];
}

function cards(subscription, balances, upcoming) {
  const period = `${day(subscription.period.start)} to ${day(subscription.period.end)}`;
  const held = balances.filter(
    ({ unit, grants }) => !unit.startsWith("meter:") && (unit !== upcoming.currency || grants.length),
  );
  return [
    card("Plan", subscription.plan, [period, ...planNotes(subscription)].join(", ")),
    ...held.map((balance) =>
      card(`${balance.unit} available`, decimal(balance.available), aside(balance)),
    ),
    card("Upcoming invoice", `${decimal(upcoming.total)} ${upcoming.currency}`, "if the period closed now"),
  ];
}

/** What else there is to know about a plan than its name and its period. */
function planNotes({ next_change: next, phase, quantity, credit, currency, add_ons: addOns }) {
  const notes = phase.state === "active" ? [] : [phase.state];
  if (quantity > 1) notes.push(`${quantity} seats`);
  for (const held of addOns) {
    const until = held.ends_at ? ` until ${day(held.ends_at)}` : "";
    notes.push(`${held.add_on} × ${held.quantity}${until}`);
  }
  if (next) notes.push(`${next.paused ? "paused" : next.plan} from ${day(next.at)}`);
  return Number(credit) ? [...notes, `credit of ${decimal(credit)} ${currency}`] : notes;
}

function aside({ reserved, overage }) {
  return Number(reserved) ? `${decimal(reserved)} reserved, overage ${decimal(overage)}` : `overage ${decimal(overage)}`;
}

function usage(invoice) {
  const lines = invoice.lines.filter((line) => line.type === "usage");
  if (!lines.length) return element("p", "", "No usage yet.");
  return table(
    ["Meter", "#Quantity", "#Included", "#Events", "#Cost"],
    lines.map((line) => [
      line.description,
      decimal(line.quantity),
      decimal(line.included),
      decimal(line.events.count),
      `${decimal(line.unit_amount)} ${line.unit}`,
    ]),
  );
}

function grants(balances) {
  const rows = balances.flatMap((balance) =>
    balance.grants.map((grant) => [
      balance.unit.replace("meter:", "included "),
      grant.source,
      grant.expires_at ? day(grant.expires_at) : "never",
      bar(grant),
      `${decimal(grant.remaining)} of ${decimal(grant.amount)}`,
    ]),
  );
  return rows.length
    ? table(["Unit", "Source", "Expires", "", "#Remaining"], rows)
    : element("p", "", "Nothing left.");
}

const REASONS = {
  "not-in-plan": "not in the plan",
  "allowance-used-up": "used up",
  "credits-used-up": "no credits left",
};

function included(entitlements) {
  const number = (value) => (value === null ? "" : decimal(value));
  return table(
    ["Feature", "Now", "#Used", "#Limit", "#Remaining", "Resets"],
    entitlements.map((found) => [
      found.feature,
      found.allowed ? "allowed" : REASONS[found.reason],
      number(found.used),
      number(found.limit),
      number(found.remaining),
      found.resets_at ? day(found.resets_at) : "",
    ]),
  );
}

/** What takes over at the period's end, or at an instant before it. */
function scheduled(subscription, changes) {
  const { next_change: next } = subscription;
  if (!next) return [];
  const plan = next.paused ? `${next.plan}, paused` : next.plan;
  const undo = changes ? button("take back", () => changes.takeBack(subscription)) : "";
  const row = [plan, `v${next.plan_version}`, decimal(next.quantity), minute(next.at), undo];
  return [section("Scheduled change", table(["Plan", "Version", "#Seats", "From (UTC)", ""], [row]))];
}

function addOns(held, changes) {
  if (!held.length) return [];
  const rows = held.map((each) => [
    each.add_on,
    `v${each.version}`,
    decimal(each.quantity),
    each.ends_at ? `until ${day(each.ends_at)}` : "each period",
    each.ends_at || !changes ? "" : button("cancel", () => changes.cancelAddOn(each)),
  ]);
  return [section("Add-ons", table(["Add-on", "Version", "#Quantity", "Renewed", ""], rows))];
}

function couponSections(coupons, changes) {
  const give = changes ? [element("p", "", button("give a coupon", changes.giveCoupon))] : [];
  const listed = coupons.length ? [discounts(coupons, changes)] : [];
  return give.length || listed.length ? [section("Coupons", ...listed, ...give)] : [];
}

function discounts(coupons, changes) {
  const left = (coupon) => [
    ...(coupon.amount_left === null ? [] : [`${decimal(coupon.amount_left)} ${coupon.currency}`]),
    ...(coupon.periods_left === null ? [] : [`${coupon.periods_left} periods`]),
  ];
  const end = (coupon) =>
    changes && coupon.state === "active" && coupon.periods_left !== 1 ? button("end", () => changes.endCoupon(coupon)) : "";
  return table(
    ["Coupon", "#Takes off", "For", "Given", "State", "#Left", ""],
    coupons.map((coupon) => [
      coupon.name,
      coupon.percentage === null
        ? `${decimal(coupon.amount)} ${coupon.currency}`
        : `${decimal(coupon.percentage)} %`,
      coupon.plans.join(", ") || "every plan",
      day(coupon.applied_at),
      coupon.state,
      left(coupon).join(", ") || "no end set",
      end(coupon),
    ]),
  );
}

function bar(grant) {
  const made = element("progress");
  made.max = Number(grant.amount);
  made.value = Number(grant.remaining);
  return made;
}

function pastInvoices(invoices, show) {
  if (!invoices.length) return element("p", "", "None yet.");
  return table(
    ["Number", "Period", "Status", "#Total"],
    invoices.map((invoice) => [
      button(invoice.number, () => show(invoice.id)),
      `${day(invoice.period.start)} to ${day(invoice.period.end)}`,
      invoice.status,
      `${decimal(invoice.total)} ${invoice.currency}`,
    ]),
  );
}

/** How much was used; of credits that no grant covered, what one of them is worth. */
function invoiceQuantity(line) {
  if (line.type === "usage") return decimal(line.quantity);
  return line.type === "overage" ? `× ${decimal(line.unit_value)}` : "";
}

function invoiceTable(invoice) {
  const rows = invoice.lines.map((line) => [
    line.description,
    `${day(line.service_period.start)} to ${day(line.service_period.end)}`,
    invoiceQuantity(line),
    `${decimal(line.unit_amount)} ${line.unit}`,
    decimal(line.amount),
  ]);
  rows.push(["Total", "", "", invoice.currency, decimal(invoice.total)]);
  return table(["Description", "Service period", "#Quantity", "#Exact", "#Amount"], rows);
}
