/** A thin client: what may be asked and what comes back is typed by the API's own description. */

import type { components, paths } from "./api.js";

type Method = "get" | "put" | "post" | "delete";
type PathOf<M extends Method> = {
  [P in keyof paths]: paths[P] extends Record<M, object> ? P : never;
}[keyof paths];
type Operation<M extends Method, P extends keyof paths> = paths[P] extends Record<M, infer O>
  ? O
  : never;

type Part<O, Name extends string> = O extends { parameters: { [N in Name]: infer T } } ? T : never;
type BodyOf<O> = O extends { requestBody: { content: { "application/json": infer T } } } ? T : never;
type Needed<Name extends string, T> = [T] extends [never] ? unknown : { [N in Name]: T };
/** What a call needs besides its path: `path`, `query` and `body`, where the operation has them. */
export type Input<O> = Needed<"path", Part<O, "path">> &
  Needed<"body", BodyOf<O>> &
  (O extends { parameters: { query?: infer T } } ? { query?: T } : unknown);

type Json<T> = T extends { content: { "application/json": infer J } } ? J : never;
/** The JSON of an operation's success; nothing where there is none to tell. */
export type Output<O> = O extends { responses: infer R }
  ? { [S in keyof R]: S extends 204 ? undefined : Json<R[S]> }[keyof R & (200 | 201 | 204)]
  : never;

export type Problem = components["schemas"]["Problem"];
type Events = BodyOf<Operation<"post", "/v1/events">>;
type WireEvent = Exclude<Events, unknown[]>;
/** A usage event; `id` and `time` are made when it is metered, unless they are given. */
export type UsageEvent = Pick<WireEvent, "source" | "type" | "subject"> &
  Partial<Pick<WireEvent, "id" | "time" | "data">>;

const RETRYABLE = new Set([408, 429]);
/** Where Retry-After asks for more, the refusal stands; a key's rate limit asks for a minute at most. */
const LONGEST_WAIT_SECONDS = 60;

/** A refusal, with its problem document (RFC 9457) as far as it had one. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Partial<Problem>,
  ) {
    super(`${status} ${problem.code ?? ""}: ${problem.detail ?? ""}`);
    this.name = "ApiError";
  }
}

export interface Options {
  /** How often a request is sent at most; every request is safe to repeat. */
  attempts?: number;
  /** The longest pause before the second attempt; it doubles with each one, up to 10 s. */
  baseMilliseconds?: number;
  timeoutMilliseconds?: number;
  fetch?: typeof fetch;
}

export class Meterline {
  readonly #url: string;
  readonly #key: string;
  readonly #options: Required<Options>;

  constructor(url: string, apiKey: string, options: Options = {}) {
    this.#url = url.replace(/\/+$/, "");
    this.#key = apiKey;
    this.#options = {
      attempts: 5,
      baseMilliseconds: 200,
      timeoutMilliseconds: 30_000,
      fetch: globalThis.fetch,
      ...options,
    };
  }

  /** Sends events, at most 1,000; their identities are made once, so each counts once. */
  sendEvents(...events: UsageEvent[]): Promise<Output<Operation<"post", "/v1/events">>> {
    const time = new Date().toISOString();
    const body: Events = events.map((event) => ({
      specversion: "1.0",
      id: crypto.randomUUID(),
      time,
      ...event,
    }));
    return this.call("post", "/v1/events", { body } as Input<Operation<"post", "/v1/events">>);
  }

  /** Calls any route. Throws ApiError for a refusal, and what fetch throws when nothing answers. */
  async call<M extends Method, P extends PathOf<M>>(
    method: M,
    path: P,
    input: Input<Operation<M, P>>,
  ): Promise<Output<Operation<M, P>>> {
    const parts = input as {
      path?: Record<string, string>;
      query?: Record<string, unknown>;
      body?: unknown;
    };
    const place = String(path).replace(/\{(\w+)\}/g, (_, name: string) =>
      encodeURIComponent(parts.path?.[name] ?? ""),
    );
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(parts.query ?? {})) {
      for (const one of [value].flat()) if (one != null) query.append(name, String(one));
    }
    const answer = await this.#send(`${this.#url}${place}${query.size ? `?${query}` : ""}`, {
      method: method.toUpperCase(),
      headers: {
        Authorization: `Bearer ${this.#key}`,
        Accept: "application/json",
        ...(parts.body === undefined ? {} : { "Content-Type": "application/json" }),
        ...(method === "post" ? { "Idempotency-Key": crypto.randomUUID() } : {}),
      },
      ...(parts.body === undefined ? {} : { body: JSON.stringify(parts.body) }),
    });
    return answer as Output<Operation<M, P>>;
  }

  /** The JSON of the answer, after as many attempts as it takes. */
  async #send(url: string, request: RequestInit): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      const last = attempt >= this.#options.attempts;
      let asked = 0;
      try {
        const signal = AbortSignal.timeout(this.#options.timeoutMilliseconds);
        const answer = await this.#options.fetch(url, { ...request, signal });
        const text = await answer.text();
        if (answer.ok) return answer.status === 204 ? undefined : JSON.parse(text);
        asked = Math.max(0, Number(answer.headers.get("Retry-After")) || 0);
        const passing = RETRYABLE.has(answer.status) || answer.status >= 500;
        if (last || !passing || asked > LONGEST_WAIT_SECONDS) {
          throw new ApiError(answer.status, problemIn(text));
        }
      } catch (error) {
        if (last || error instanceof ApiError) throw error;
      }
      const ceiling = Math.min(10_000, this.#options.baseMilliseconds * 2 ** (attempt - 1));
      const pause = asked * 1000 + Math.random() * ceiling;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

function problemIn(text: string): Partial<Problem> {
  try {
    const document: unknown = JSON.parse(text);
    return typeof document === "object" && document !== null ? document : {};
  } catch {
    return {};
  }
}
