// The customer's own page, signed in by the token in the address.

import { customerSections } from "./customer.js";
import { askFor, fromFragment, keepFresh, reader } from "./page.js";
import { usageInto } from "./usage.js";

const STORED = "meterline-portal-token";
const content = document.getElementById("content");
const usage = document.getElementById("usage");

/** Whom the token is for. The API checks the token; this only reads the name in it. */
function customerOf(token) {
  try {
    const payload = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes)).customer;
  } catch {
    return "";
  }
}

function signedOut() {
  sessionStorage.removeItem(STORED);
  usage.replaceChildren();
  content.textContent = "This link is no longer valid: ask for a new one.";
}

function start(token) {
  const customer = customerOf(token);
  if (!customer) return signedOut();
  sessionStorage.setItem(STORED, token);
  document.getElementById("title").textContent = customer;
  const read = reader(token);
  const showUsage = usageInto(usage, read);
  let shown = "";
  const show = (id) => {
    shown = id === shown ? "" : id;
    refresh();
  };
  const render = async () => {
    const base = `/v1/customers/${encodeURIComponent(customer)}`;
    const [meters, { timezone }] = await Promise.all([read(`${base}/meters`), read(`${base}/subscription`)]);
    showUsage({ meters: meters.data, customer, timezone });
    return customerSections(read, customer, shown, show);
  };
  const refresh = keepFresh(render, signedOut);
}

const token = fromFragment("token") || sessionStorage.getItem(STORED);
if (token) start(token);
else askFor("Portal token", start);
