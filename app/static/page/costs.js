// The costs of each transport: requests, bytes and delay. Pure; the caller passes the time.
//
// A single reader cannot measure how late a token is. While all four transports are compared, the delay is measured from
// the first of them that had the token. Otherwise it is an estimate, which assumes that the tokens of one step were made
// evenly since the step before.

export const TRANSPORTS = ["sse", "websocket", "long", "short"];
export const SHOWN_MS = 8000;
/** About how many bytes the headers of a request and its response have (HTTP/1.1); scripts cannot see headers. */
export const HEAD_BYTES = 800;

class Cost {
  requests = 0;
  bytes = 0;
  tokens = 0;
  delayMs = 0; // the sum over all tokens
  marks = []; // {at, tokens}: the latest steps
  #last = null;

  /** Add the tokens of one step, with their `delaysMs` if these were measured. */
  brought(tokens, now, delaysMs = null) {
    const since = this.#last === null ? 0 : now - this.#last;
    this.#last = now;
    if (!tokens) return;
    this.tokens += tokens;
    this.delayMs += delaysMs ? delaysMs.reduce((sum, each) => sum + each, 0) : (since * (tokens - 1)) / 2;
    this.marks.push({ at: now, tokens });
    while (this.marks[0].at < now - SHOWN_MS) this.marks.shift();
  }

  /** A new connection starts. Its first tokens may be old, so no delay can be estimated from them. */
  begins() {
    this.#last = null;
  }

  get delayPerTokenMs() {
    return this.tokens ? this.delayMs / this.tokens : null;
  }
}

export class Costs {
  isMeasured = false;

  constructor() {
    this.clear();
  }

  clear() {
    this.isMeasured = false;
    this.of = Object.fromEntries(TRANSPORTS.map((name) => [name, new Cost()]));
  }

  /** Forget what was counted for this transport. */
  restart(transport) {
    this.of[transport] = new Cost();
  }

  /** Add the traffic that `follow` reports. */
  traffic({ transport, requests = 0, bytes = 0 }) {
    const cost = this.of[transport];
    if (!cost) return;
    cost.requests += requests;
    cost.bytes += bytes + requests * HEAD_BYTES;
  }
}
