// Plays the compiled client against the address in argv: prints, as JSON, what it saw.
const [module, url, key, customer, bad] = process.argv.slice(2);
const { ApiError, Meterline } = await import(module);
const client = new Meterline(url, key, { attempts: 9, baseMilliseconds: 1 });
const event = { source: "node", type: "chat.message", subject: customer };
const sent = await client.sendEvents({ ...event, id: "1" }, event, { ...event, id: "1" });
const again = await client.sendEvents({ ...event, id: "1" });
let refused = {};
try {
  await client.sendEvents({ ...event, data: JSON.parse(bad) });
} catch (error) {
  if (!(error instanceof ApiError)) throw error;
  refused = { status: error.status, pointers: error.problem.errors.map((one) => one.pointer) };
}
console.log(JSON.stringify({ sent, again, refused }));
