import { ByteBuffer } from "./byte_buffer.js";
import { Environment } from "./environment.js";
import { TransportError, foreignResponse, statusError } from "./errors.js";
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
  #fetch;

  constructor(base, key, token, fetch, timing) {
    this.#base = base;
    this.#key = key || undefined;
    this.#token = token || undefined;
    this.#fetch = fetch;
    this.timing = timing;
  }

  get canOpenSockets() {
    return this.#token !== undefined || this.#key === undefined;
  }

  forgetKey() {
    this.#key = undefined;
  }

  /** The address of a call. It contains the read token unless a key is sent as a header, which no WebSocket can. */
  address(path, query = {}, isSocket = false) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const parameters = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    if (this.#token && (isSocket || !this.#key)) parameters.set("token", this.#token);
    const address = `${this.#base}${path}${String(parameters) && `?${parameters}`}`;
    return isSocket ? new URL(address, globalThis.location?.href).href.replace(/^http/, "ws") : address;
  }

  /** A response with a successful status. Throws TransportError, TokentailError. */
  async request(method, address, attempt, { headers = {}, body, key = this.#key } = {}) {
    let response;
    const credentials = key ? { Authorization: `Bearer ${key}` } : {};
    try {
      const options = { method, headers: { ...headers, ...credentials }, body, cache: "no-store" };
      response = await this.#fetch(address, { ...options, signal: attempt.signal });
    } catch (error) {
      throw attempt.error ?? new TransportError("away", "the connection failed", { error });
    }
    if (response.ok) return response;
    const isOurs = hasType(response, "application/problem+json");
    const problem = isOurs ? parseJson(await wholeText(response, attempt, 10000, MOST_PROBLEM_BYTES)) : undefined;
    throw statusError(response.status, problem, parseRetryAfter(response.headers.get("Retry-After")));
  }

  /** The result of a call that may be repeated: temporary failures are retried for `patienceMs`. */
  async call(method, path, { query, headers, body, key, signal } = {}) {
    const { patienceMs, silentMs } = this.timing;
    const environment = new Environment(signal, false);
    const until = performance.now() + patienceMs;
    try {
      for (let failures = 1; ; failures += 1) {
        const attempt = environment.attempt();
        attempt.startTimeout(silentMs, "away", "the server did not answer in time");
        try {
          const response = await this.request(method, this.address(path, query), attempt, { headers, body, key });
          const mostBytes = path.endsWith("/text") ? Infinity : MOST_BODY_BYTES; // a text is as long as its log
          const text = await wholeText(response, attempt, silentMs, mostBytes);
          if (response.status === 204) return undefined;
          if (hasType(response, "application/json")) return parseJson(text);
          if (path.endsWith("/text")) return text;
          throw foreignResponse(response);
        } catch (error) {
          environment.check();
          if (!(error instanceof TransportError)) throw error;
          const pauseMs = error.kind === "interrupted" ? 0 : retryPauseMs(error, failures);
          const isHopeless = error.kind === "refused" || (error.kind === "fault" && failures >= MOST_FAULTS);
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
  if (!response.body) return "";
  const buffer = new ByteBuffer();
  for await (const chunk of chunksOf(response, attempt, silentMs, "cut", "the answer broke off")) {
    count(chunk.byteLength);
    if (buffer.size + chunk.byteLength > mostBytes) throw new TransportError("fault", "the answer is too large");
    buffer.add(chunk);
  }
  return new TextDecoder().decode(buffer.bytes);
}
