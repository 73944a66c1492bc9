// Gives the compiled client in argv answers of every kind: prints, as JSON, what it made of them.
const { ApiError, Meterline } = await import(process.argv[2]);

async function made(...answers) {
  let requests = 0;
  const fetch = async () => answers[Math.min(requests++, answers.length - 1)]();
  const client = new Meterline("http://stub", "ml_key", { fetch, attempts: 3, baseMilliseconds: 1 });
  try {
    const path = { segment: "gold" };
    const found = await client.call("delete", "/v1/segments/{segment}", { path });
    return { found: found ?? null, requests };
  } catch (error) {
    return { kind: error instanceof ApiError ? error.status : error.name, requests };
  }
}

const busy = (seconds) => () => new Response("{}", { status: 429, headers: { "Retry-After": seconds } });
const nothing = () => new Response(null, { status: 204 });
console.log(
  JSON.stringify({
    nothing: await made(nothing),
    later: await made(busy("-3"), nothing),
    muchLater: await made(busy("3600"), nothing),
    words: await made(() => new Response("<html>")),
  }),
);
