// What a customer earns: rewards by its own usage, shares by that of others.

import { button, day, decimal, element, section, table } from "./page.js";

/**
 * The sections, where there is something to show. Who may change something may have the customer's usage
 * counted anew: for its own rewards, and for what others earn by it.
 */
export function rewardSections(rewards, earnings, changes) {
  const recount = changes ? [element("p", "", button("count the usage anew", changes.recountRewards))] : [];
  const others = changes && [element("p", "", button("count anew what others earn by it", changes.recountEarnings))];
  const earned = [
    ...(earnings.data.length ? [shares(earnings.data)] : []),
    ...(earnings.payouts.length ? [payouts(earnings.payouts)] : []),
    ...(others ?? []),
  ];
  return [
    ...(rewards.data.length ? [section("Rewards", progress(rewards.data), ...recount)] : []),
    ...(earned.length ? [section("Earnings", ...earned)] : []),
  ];
}

function progress(rewards) {
  return table(
    ["Reward", "Towards the next", "", "#Given"],
    rewards.map((reward) => [
      `${decimal(reward.amount)} ${reward.unit} for every ${decimal(reward.every)} ${reward.meter}`,
      `${decimal(reward.towards_next)} of ${decimal(reward.every)}${note(reward)}`,
      bar(reward),
      `${decimal(reward.given)} ${reward.unit}`,
    ]),
  );
}

function note(reward) {
  if (reward.archived) return ", ended";
  if (Number(reward.waiting)) return `, ${decimal(reward.waiting)} waiting`;
  return reward.capped ? ", at its cap" : "";
}

function bar(reward) {
  const made = element("progress");
  made.max = Number(reward.every);
  made.value = Number(reward.towards_next);
  return made;
}

function shares(earnings) {
  return table(
    ["Rule", "#Earned", "#Held", "#Due", "#To transfer", "#Paid", "Next release after"],
    earnings.map((earned) => [
      earned.rule,
      `${decimal(earned.accrued)} ${earned.unit}`,
      decimal(earned.held),
      decimal(earned.due),
      decimal(earned.to_transfer),
      decimal(earned.paid),
      earned.next_release ?? "",
    ]),
  );
}

/** What was paid out. A transfer is due until somebody reports it as made. */
function payouts(paid) {
  return table(
    ["Payout", "Rule", "#Amount", "As", "State", "Reference"],
    paid.map((payout) => [
      day(payout.at),
      payout.rule,
      `${decimal(payout.amount)} ${payout.unit}`,
      payout.payable,
      payout.status === "due" ? "to be transferred" : "paid",
      payout.reference ?? "",
    ]),
  );
}
