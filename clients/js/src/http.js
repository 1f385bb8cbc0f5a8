import { ByteBuffer } from "./byte_buffer.js";
import { Environment } from "./environment.js";
import { TransportError, deadRedirect, foreignResponse, statusError } from "./errors.js";
import { MOST_FAULTS, parseRetryAfter, retryPauseMs } from "./timing.js";

export const MOST_BODY_BYTES = 64 << 20; // the server sends less in one response
const MOST_PROBLEM_BYTES = 64 << 10;

export function jobPath(jobId) {
  return `/v1/jobs/${encodeURIComponent(jobId)}`;
}

/** The connection to one server: addresses, credentials, and requests with timeouts. */
export class Connection {
  #base;
  #key;
  #token;

  constructor(base, key, token, fetch, timing) {
    this.#base = base;
    this.#key = key || undefined;
    this.#token = token || undefined;
    this.fetch = fetch;
    this.timing = timing;
  }

  get server() {
    return this.#base;
  }

  /** A text that is the same for connections to one server with the same credentials. */
  get name() {
    return JSON.stringify([this.#base, this.#key, this.#token]);
  }

  /** Whether one request may read many jobs: a read token is for a single job. */
  get canPollMany() {
    return this.#token === undefined || this.#key !== undefined;
  }

  get canOpenSockets() {
    return this.#token !== undefined || this.#key === undefined;
  }

  /** The same connection, which keeps its key when this one forgets it. */
  copy() {
    return new Connection(this.#base, this.#key, this.#token, this.fetch, this.timing);
  }

  forgetKey() {
    this.#key = undefined;
  }

  /** The address of a call. It contains the read token unless a key is sent as a header, which no WebSocket can. */
  address(path, query = {}, isSocket = false) {
    const all = Object.entries(query).flatMap(([name, values]) => [values].flat().map((value) => [name, value]));
    const given = all.filter(([, value]) => value !== undefined);
    if (this.#token && (isSocket || !this.#key)) given.push(["token", this.#token]);
    // React Native has URLSearchParams and URL in parts only.
    const parameters = given.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
    const address = `${this.#base}${path}${parameters && `?${parameters}`}`;
    if (!isSocket) return address;
    return (/^https?:/.test(address) ? address : new URL(address, globalThis.location.href).href).replace(/^http/, "ws");
  }

  /** A response with a successful status. Throws TransportError, TokentailError. */
  async request(method, address, attempt, { headers = {}, body, key = this.#key } = {}) {
    const credentials = key ? { Authorization: `Bearer ${key}` } : {};
    const options = { method, headers: { ...headers, ...credentials }, body, cache: "no-store", signal: attempt.signal };
    let response;
    let isRedirect = false;
    try {
      response = await this.fetch(address, { ...options, redirect: "manual" });
      isRedirect = response.type === "opaqueredirect" || (response.status >= 300 && response.status < 400);
      if (isRedirect) response = await this.fetch(address, options);
    } catch (error) {
      throw attempt.error ?? (isRedirect ? deadRedirect() : new TransportError("away", "the connection failed", { error }));
    }
    if (response.ok) return response;
    const retryAfterMs = parseRetryAfter(response.headers.get("Retry-After"));
    const isProblem = hasType(response, "application/problem+json");
    const problem = isProblem ? parseJson(await wholeText(response, attempt, 10000, MOST_PROBLEM_BYTES)) : undefined;
    // A proxy may leave our header out, and another server's problems have types of their own.
    const isOurs = response.headers.get("Tokentail") !== null || problem?.type?.startsWith?.("urn:tokentail:");
    throw isOurs ? statusError(response.status, problem, retryAfterMs) : foreignResponse(response, retryAfterMs);
  }

  /** The result of a call that may be repeated: temporary failures are retried for `patienceMs`. */
  async call(method, path, { query, headers, body, key, signal } = {}) {
    const { patienceMs, answerMs, silentMs } = this.timing;
    const environment = new Environment(signal, false);
    const until = performance.now() + patienceMs;
    try {
      for (let failures = 1; ; failures += 1) {
        const attempt = environment.attempt();
        attempt.startTimeout(answerMs, "away", "the server did not answer in time");
        try {
          const response = await this.request(method, this.address(path, query), attempt, { headers, body, key });
          const mostBytes = path.endsWith("/text") ? Infinity : MOST_BODY_BYTES; // a text is as long as its log
          const text = await wholeText(response, attempt, silentMs, mostBytes);
          if (response.status === 204) return undefined;
          if (hasType(response, "application/json")) return parseJson(text);
          if (hasType(response, "text/plain")) return text;
          throw foreignResponse(response);
        } catch (error) {
          environment.check();
          if (!(error instanceof TransportError)) throw error;
          const pauseMs = error.kind === "interrupted" ? 0 : retryPauseMs(error, failures);
          const isRefused = error.kind === "foreign" && error.error.status >= 400;
          const isHopeless = isRefused || (["fault", "foreign"].includes(error.kind) && failures >= MOST_FAULTS);
          if (isHopeless || performance.now() + pauseMs > until) throw error.final;
          await environment.sleep(pauseMs);
        } finally {
          attempt.end();
        }
      }
    } finally {
      environment.close();
    }
  }
}

/** A random text for a long poll's address: proxies let equal requests wait for each other. */
export function randomText() {
  return Math.random().toString(36).slice(2, 10);
}

export function hasType(response, type) {
  return response.headers.get("Content-Type")?.startsWith(type) ?? false;
}

export function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new TransportError("cut", "the answer was cut off");
  }
}

/** A body's parts as they arrive. Each has `silentMs` to arrive, except the first, whose timeout runs already. */
export async function* chunksOf(response, attempt, silentMs, kind, message) {
  if (!canStream(response)) throw new TransportError("refused", "this runtime cannot read a response as it arrives");
  const reader = response.body.getReader();
  try {
    for (;;) {
      let part;
      try {
        part = await reader.read();
      } catch (error) {
        throw attempt.error ?? new TransportError("cut", "the connection was cut", { error });
      }
      attempt.clearTimeout(); // the time that the caller takes is not the server's silence
      if (part.done) return;
      yield part.value;
      attempt.startTimeout(silentMs, kind, message);
    }
  } finally {
    attempt.clearTimeout();
    reader.cancel().catch(() => {}); // it fails if the connection is broken already
  }
}

/** The text of a body. Throws TransportError if it has more than `mostBytes`. */
export async function wholeText(response, attempt, silentMs, mostBytes, count = () => {}) {
  if (!canStream(response)) return await unstreamedText(response, attempt, mostBytes, count);
  const buffer = new ByteBuffer();
  for await (const chunk of chunksOf(response, attempt, silentMs, "cut", "the answer broke off")) {
    count(chunk.byteLength);
    if (buffer.size + chunk.byteLength > mostBytes) throw new TransportError("fault", "the answer is too large");
    buffer.add(chunk);
  }
  return new TextDecoder().decode(buffer.bytes);
}

/** Whether the runtime gives the body as it arrives. React Native's `fetch` has no `body`; some runtimes no decoder. */
function canStream({ body }) {
  return Boolean(body?.getReader && globalThis.TextDecoder);
}

async function unstreamedText(response, attempt, mostBytes, count) {
  let text;
  try {
    text = await response.text();
  } catch (error) {
    throw attempt.error ?? new TransportError("cut", "the answer broke off", { error });
  } finally {
    attempt.clearTimeout();
  }
  count(text.length);
  if (text.length > mostBytes) throw new TransportError("fault", "the answer is too large");
  return text;
}
