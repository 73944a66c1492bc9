// What operators change for a customer: its coupons, its recurring add-ons, what is scheduled, what is counted anew.

/** Each asks first, and reads the page anew afterwards. `write` needs a key with `admin`. */
export function changesOf(write, customer, refresh) {
  const base = `/v1/customers/${encodeURIComponent(customer)}`;
  const send = (path, body) =>
    write(`${base}${path}`, body && JSON.stringify(body)).then(refresh, ({ message }) => alert(message));
  // Counting anew is once by nature: it gives only what is missing.
  const recount = (path, told) =>
    write(path, JSON.stringify({ customer })).then(
      (done) => {
        alert(told(done));
        refresh();
      },
      ({ message }) => alert(message),
    );
  return {
    recountRewards: () =>
      recount("/v1/rewards/recount", ({ given, waiting }) =>
        `The last 31 days are counted anew: ${given} given, ${waiting} waiting for room.`),
    recountEarnings: () =>
      recount("/v1/earnings/recount", ({ accrued, later }) =>
        `The last 31 days are counted anew: ${accrued} entries were missing, ${later} days are counted later.`),
    giveCoupon: () => {
      const coupon = prompt(`Key of the coupon that ${customer} shall have from now on`);
      if (coupon) send("/coupons", { coupon: coupon.trim() });
    },
    endCoupon: ({ id, name }) => {
      if (confirm(`${name} shall take nothing off from the next billing period on?`)) {
        send(`/coupons/${encodeURIComponent(id)}/end`);
      }
    },
    cancelAddOn: ({ add_on: key }) => {
      if (confirm(`${key} shall end with the billing period?`)) {
        send(`/add-ons/${encodeURIComponent(key)}/cancel`);
      }
    },
    // What is in force already, asked for anew, drops what was scheduled.
    takeBack: ({ phase }) => {
      if (confirm("Everything shall stay as it is now?")) {
        send("/subscription", { action: phase.state === "paused" ? "pause" : "resume" });
      }
    },
  };
}
