// What operators change for a customer: its coupons, its recurring add-ons, what is scheduled.

/** Each asks first, and reads the page anew afterwards. `write` needs a key with `admin`. */
export function changesOf(write, customer, refresh) {
  const base = `/v1/customers/${encodeURIComponent(customer)}`;
  const send = (path, body) =>
    write(`${base}${path}`, body && JSON.stringify(body)).then(refresh, ({ message }) => alert(message));
  return {
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
