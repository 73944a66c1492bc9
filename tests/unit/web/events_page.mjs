// Draws the console's list of events with stand-ins for the page, and presses its buttons.

class Made {
  constructor(name) {
    this.name = name;
    this.children = [];
  }
  append(...children) {
    this.children.push(...children);
  }
  addEventListener(_, press) {
    this.press = press;
  }
  get text() {
    return this.children.map((child) => (child instanceof Made ? child.text : child)).join("|");
  }
  buttons(text) {
    const inside = this.children.filter((child) => child instanceof Made).flatMap((child) => child.buttons(text));
    return this.name === "button" && this.text === text ? [this] : inside;
  }
}

globalThis.Node = Made;
globalThis.document = { createElement: (name) => new Made(name) };
globalThis.confirm = () => true;
globalThis.prompt = () => '{"load":0.10000000000000000001}';

const event = {
  subject: 'a"da', source: "web", id: "1", type: "call", time: "2026-03-01T00:00:00Z",
  data: { load: 3 }, status: "accepted", corrections: [], meters: [], uncounted: { calls: "no-value" },
};
const cancelled = { ...event, id: "2", corrections: [{ cancel: true, data: null }] };
const sent = [];
const { eventsSection } = await import(process.argv[2]);
const read = async (path) => ({ path, data: [event, cancelled] });
const write = async (path, body) => sent.push([path, body]);
const shown = await eventsSection(read, write, event.subject, () => {});
for (const name of ["cancel", "correct"]) shown.buttons(name).forEach((each) => each.press());
console.log(JSON.stringify({ text: shown.text, sent }));
