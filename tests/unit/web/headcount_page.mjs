// Draws the console's headcounts with stand-ins for the page and an API of two pages, and asks for them.

class Made {
  constructor(name) {
    this.name = name;
    this.children = [];
    this.heard = {};
    this.isConnected = true;
  }
  append(...children) {
    this.children.push(...children);
  }
  replaceChildren(...children) {
    this.children = children;
  }
  addEventListener(event, hear) {
    this.heard[event] = hear;
  }
  get value() {
    return this.typed ?? this.children.find((child) => child.selected)?.value ?? "";
  }
  set value(typed) {
    this.typed = typed;
  }
  get text() {
    return this.children.map((child) => (child instanceof Made ? child.text : child)).join("|");
  }
  inside(name) {
    const below = this.children.filter((child) => child instanceof Made).flatMap((child) => child.inside(name));
    return this.name === name ? [this, ...below] : below;
  }
}

globalThis.Node = Made;
globalThis.document = { createElement: (name) => new Made(name) };

const row = (name, ...counts) => ({
  group: { [grouped]: name }, customers: counts[0], new: counts[1], converted: counts[2], cancelled: counts[3],
});
const asked = [];
let grouped = "plan";
const read = async (path) => {
  if (path.startsWith("/v1/segments")) return { data: [{ key: "eu", name: "Europe" }], next_cursor: null };
  const query = Object.fromEntries(new URLSearchParams(path.split("?")[1]));
  asked.push(query);
  if (query.cursor) return { data: [row("free", 500, 1, 0, 2)], customers: 500, next_cursor: null };
  return { data: [row("pro", 7, 3, 2, 0), row("free", 600, 4, 0, 1)], customers: 607, next_cursor: "more" };
};

const { headcountPage } = await import(process.argv[2]);
const page = await headcountPage(read);
const [form] = page.inside("form");
const [, by] = form.inside("select");
const shown = {};
for (grouped of ["plan", "segment"]) {
  by.value = grouped;
  await form.heard.submit({ preventDefault() {} });
  const cards = page.inside("div").filter((each) => each.children[0] instanceof Made && each.children[0].name === "div");
  shown[grouped] = {
    cards: cards.filter((each) => each.className === "cards").map((each) => each.text).join(),
    rows: page.inside("tr").map((each) => each.text),
  };
}
console.log(JSON.stringify({ shown, asked }));
