// Decimal texts added and compared without rounding: a page holds no number that counts as a float.

/** The texts as whole numbers of the finest place among them, and how many places that is. */
function scaled(texts) {
  const places = Math.max(...texts.map((text) => (text.split(".")[1] ?? "").length), 0);
  const whole = (text) => {
    const [units, part = ""] = text.split(".");
    return BigInt(units + part.padEnd(places, "0"));
  };
  return [texts.map(whole), places];
}

function written(number, places) {
  const digits = String(number < 0n ? -number : number).padStart(places + 1, "0");
  const units = digits.slice(0, digits.length - places);
  const part = digits.slice(digits.length - places);
  return `${number < 0n ? "-" : ""}${units}${places ? `.${part}` : ""}`;
}

/** The sum, with as many places as the finest of them. */
export function sum(texts) {
  const [numbers, places] = scaled(texts);
  return written(numbers.reduce((a, b) => a + b, 0n), places);
}

/** Below, at or above zero as the first is to the second. */
export function compare(first, second) {
  const [[a, b]] = scaled([first, second]);
  return a < b ? -1 : Number(a > b);
}

/** The part of a whole in percent, to a tenth of one, cut off; nothing of a whole that is not above zero. */
export function percent(part, whole) {
  const [[a, b]] = scaled([part, whole]);
  return b > 0n ? `${written((a * 1000n) / b, 1)} %` : "";
}
