// The catalogue: plans and who is on older versions, coupons, add-ons, costs, rewards and earnings.

import { button, day, decimal, element, readAll, section, table } from "./page.js";

const LISTS = ["plans", "coupons", "add-ons", "cost-rates", "reward-rules", "earning-rules"];

/** The page. `select` is called with a customer's key; moving customers needs a key with `admin`. */
export async function cataloguePage(read, write, select) {
  const [plans, coupons, addOns, costs, rewards, earnings] = await Promise.all(
    LISTS.map((name) => readAll(read, `/v1/${name}`)),
  );
  const moves = element("div");
  const look = (plan) =>
    showMigration(moves, write, plan, select).catch(({ message }) => {
      moves.replaceChildren(element("p", "failed", message));
    });
  const lists = [
    ["Coupons", coupons, couponsTable],
    ["Add-ons", addOns, addOnsTable],
    ["Cost rates", costs, costsTable],
    ["Reward rules", rewards, rewardsTable],
    ["Earning rules", earnings, earningsTable],
  ];
  return element(
    "div",
    "",
    section("Plans", plansTable(plans, look), moves),
    ...lists.filter(([, found]) => found.length).map(([title, found, made]) => section(title, made(found))),
  );
}

function plansTable(plans, look) {
  return table(
    ["Plan", "#Version", "Name", "#Fee", "#Minimum", "Includes", "Rates", "Converts to", ""],
    plans.map((plan) => [
      plan.default ? `${plan.key} (default)` : plan.key,
      plan.version,
      plan.name,
      `${decimal(plan.fee)} ${plan.currency} a ${plan.interval}`,
      Number(plan.minimum) ? decimal(plan.minimum) : "",
      holds(plan),
      [...new Set(plan.rates.map(({ meter }) => meter))].join(", "),
      plan.converts_to?.plan ?? "",
      plan.version > 1 ? button("who is on older versions", () => look(plan)) : "",
    ]),
  );
}

/** What moving everyone to the newest version would do, and a button that does it. */
async function showMigration(node, write, plan, select) {
  const path = `/v1/plans/${encodeURIComponent(plan.key)}/migrations`;
  const pages = async (preview) => {
    const found = [];
    let cursor = "";
    do {
      node.replaceChildren(element("p", "", `${plan.key}: ${found.length} pages…`));
      const query = cursor && `?cursor=${encodeURIComponent(cursor)}`;
      found.push(await write(`${path}${query}`, JSON.stringify({ preview })));
      cursor = found.at(-1).next_cursor;
    } while (cursor);
    return found;
  };
  const show = (found, ...more) => node.replaceChildren(...migration(plan, found, select), ...more);
  const preview = await pages(true);
  const count = preview.flatMap(({ data }) => data).length;
  const move = button(`move all ${count} with their next period`, async () => {
    const question = `${count} customers of ${plan.key} shall be on version ${plan.version} from their next period on?`;
    if (!confirm(question)) return;
    try {
      show(await pages(false));
    } catch ({ message }) {
      node.replaceChildren(element("p", "failed", `${message} What was moved stays moved; look again.`));
    }
  });
  show(preview, ...(count ? [move] : []));
}

function migration({ key, version }, pages, select) {
  const moves = pages.flatMap(({ data }) => data);
  const refused = pages.flatMap((page) => page.refused);
  const title = element("h2", "", `${key}, to version ${version}`);
  if (!moves.length && !refused.length) return [title, element("p", "", "Everyone is on it, or will be.")];
  const rows = moves.map((move) => [
    button(move.customer, () => select(move.customer)),
    `v${move.from_version}`,
    `${move.state} ${day(move.at)}`,
    `${decimal(move.next_fee.before)} → ${decimal(move.next_fee.after)} ${move.currency}`,
    move.included.map(({ unit, before, after }) => `${unit} ${decimal(before)} → ${decimal(after)}`).join(", "),
  ]);
  const stays = refused.map((each) => [each.customer, each.code, each.detail]);
  return [
    title,
    ...(rows.length ? [table(["Customer", "From", "To take effect", "#Fee of a period", "Included"], rows)] : []),
    ...(stays.length ? [table(["Stays as it is", "Code", "Reason"], stays)] : []),
  ];
}

function couponsTable(coupons) {
  return table(
    ["Coupon", "Name", "#Takes off", "For how long", "Plans", "#Given", "Until"],
    coupons.map((coupon) => [
      coupon.key,
      coupon.name,
      coupon.percentage === null ? `${decimal(coupon.amount)} ${coupon.currency}` : `${decimal(coupon.percentage)} %`,
      coupon.duration === "periods" ? `${coupon.periods} periods` : coupon.duration,
      coupon.plans.join(", ") || "every plan",
      coupon.redemptions + (coupon.max_redemptions === null ? "" : ` of ${coupon.max_redemptions}`),
      coupon.archived ? "archived" : day(coupon.redeem_by),
    ]),
  );
}

/** What a plan or a pack gives. Refilled credits are brought to the amount, others add to what is left. */
function holds({ allowances, credits }) {
  return [
    ...allowances.map(({ meter, quantity }) => `${decimal(quantity)} ${meter}`),
    ...credits.map(({ unit, amount, refill }) => `${refill ? "refilled to " : ""}${decimal(amount)} ${unit}`),
  ].join(", ");
}

function addOnsTable(addOns) {
  return table(
    ["Add-on", "Name", "Holds", "#Price"],
    addOns.map((pack) => [
      pack.key, pack.name, holds(pack),
      `${decimal(pack.price)} ${pack.currency}${pack.interval ? ` a ${pack.interval}` : ""}`,
    ]),
  );
}

function costsTable(costs) {
  const rows = costs.flatMap((dated) =>
    dated.rates.map(({ price, where }) => [
      dated.meter, began(dated.effective_from), matched(where), worth(price), dated.currency,
    ]));
  return table(["Meter", "From", "Where", "#Cost", "Currency"], rows);
}

/** Rates without a date are for all time, which the API writes as that from the first day there is. */
function began(text) {
  return text.startsWith("1970-01-01") ? "always" : day(text);
}

function worth(price) {
  if (price.model === "per_unit") return `${decimal(price.unit_price)} each`;
  const fee = price.fixed_fee ? ` and ${decimal(price.fixed_fee)} an event` : "";
  return `${decimal(price.rate)} %${fee}`;
}

function matched(where) {
  return Object.entries(where).map(([name, value]) => `${name} is ${value}`).join(", ");
}

function rewardsTable(rules) {
  return table(
    ["Rule", "Gives", "For", "Where", "Expires", "State"],
    rules.map((rule) => [
      rule.key, `${decimal(rule.amount)} ${rule.unit}`, `every ${decimal(rule.every)} ${rule.meter}`,
      matched(rule.where), rule.expires, rule.archived_at ? "archived" : "",
    ]),
  );
}

function earningsTable(rules) {
  return table(
    ["Rule", "Earns by", "For whom", "Unit", "Held for", "Paid as", "State"],
    rules.map((rule) => [
      rule.key, rule.meter, `the customer in ${rule.beneficiary}`, rule.unit, rule.hold ?? "", rule.payable,
      rule.archived_at ? "archived" : "",
    ]),
  );
}
