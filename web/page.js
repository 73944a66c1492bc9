// What both pages share: calls to the API, elements made from text alone, and the refresh.

const REFRESH_MS = 2000;

/** A refusal or a failed connection, in words for the page. `status` is 0 when nothing answered. */
export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** A function that reads a path of the API with the credential. */
export function reader(credential) {
  return async (path) => {
    let answer;
    try {
      answer = await fetch(path, { headers: { Authorization: `Bearer ${credential}` } });
    } catch {
      throw new ApiError(0, "The system does not answer.");
    }
    return documentOf(answer);
  };
}

/** The answer's JSON, or what it refuses and where. */
async function documentOf(answer) {
  const document = await answer.json().catch(() => ({}));
  if (answer.ok) return document;
  const places = (document.errors ?? []).map(({ pointer, code }) => `${pointer} ${code}`).join(", ");
  const words = document.detail || `Refused: ${answer.status}`;
  throw new ApiError(answer.status, places ? `${words} (${places})` : words);
}

/** A function that posts JSON text to a path of the API with the credential. */
export function writer(credential) {
  return async (path, body) => {
    const headers = {
      Authorization: `Bearer ${credential}`,
      "Content-Type": "application/json",
      "Idempotency-Key": crypto.randomUUID(),
    };
    return documentOf(await fetch(path, { method: "POST", headers, body }));
  };
}

/** Every item of a list, page after page. */
export async function readAll(read, path) {
  const items = [];
  let cursor = "";
  do {
    const rest = cursor && `&cursor=${encodeURIComponent(cursor)}`;
    const page = await read(`${path}${path.includes("?") ? "&" : "?"}limit=1000${rest}`);
    items.push(...page.data);
    cursor = page.next_cursor;
  } while (cursor);
  return items;
}

/** An element with a class and children. Text becomes text nodes: no value is ever read as HTML. */
export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.map((child) => (child instanceof Node ? child : String(child ?? ""))));
  return made;
}

export function button(text, onClick) {
  const made = element("button", "link", text);
  made.type = "button";
  made.addEventListener("click", onClick);
  return made;
}

/** A table; columns whose heading starts with "#" hold numbers. */
export function table(headings, rows) {
  const kind = headings.map((heading) => (heading.startsWith("#") ? "number" : ""));
  const head = headings.map((heading, i) => element("th", kind[i], heading.replace("#", "")));
  const body = rows.map((row) => {
    const cells = row.map((cell, i) => element("td", kind[i], cell));
    return element("tr", row[0] === "Total" ? "total" : "", ...cells);
  });
  return element("table", "", element("thead", "", element("tr", "", ...head)), element("tbody", "", ...body));
}

export function card(label, value, note) {
  return element("div", "card", label, element("strong", "", value), element("small", "", note));
}

export function section(title, ...children) {
  return element("section", "", element("h2", "", title), ...children);
}

/** A decimal text with its thousands set apart; no digit is lost. */
export function decimal(text) {
  const [whole, part] = String(text).split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return part ? `${grouped}.${part}` : grouped;
}

export function day(text) {
  return text ? text.slice(0, 10) : "";
}

export function minute(text) {
  return text ? text.slice(0, 16).replace("T", " ") : "";
}

/** The fragment's value of that name, taken out of the address bar. */
export function fromFragment(name) {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const value = fragment.get(name);
  if (value) history.replaceState(null, "", location.pathname);
  return value;
}

/**
 * Renders now and every two seconds; `refused` is called when the credential is not accepted.
 * Where `render` gives nothing, the content is empty and nothing is live.
 */
export function keepFresh(render, refused) {
  const status = document.getElementById("status");
  let timer = 0;
  let running = false;
  let again = false;
  const run = async () => {
    clearTimeout(timer);
    again = running;
    if (running) return;
    running = true;
    try {
      const shown = await render();
      document.getElementById("content").replaceChildren(...(shown ?? []));
      status.className = "";
      status.textContent = shown ? `live, ${new Date().toLocaleTimeString()}` : "";
    } catch (error) {
      status.className = "failed";
      status.textContent = error.message;
      if (error.status === 401 || error.status === 403) return refused();
    } finally {
      running = false;
    }
    timer = setTimeout(run, again ? 0 : REFRESH_MS);
  };
  run();
  return run;
}

/** Asks for a credential and hands it on. */
export function askFor(label, use) {
  const input = element("input");
  input.type = "password";
  input.placeholder = label;
  input.autocomplete = "off";
  const form = element("form", "", input, element("button", "", "Open"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (input.value.trim()) use(input.value.trim());
  });
  document.getElementById("content").replaceChildren(form);
  input.focus();
}
