// The costs: what each transport took to bring what it brought. Pure; the caller brings the time.
//
// How late a token is cannot be seen by a single reader. While all four are compared it is measured, against whoever had
// the token first; else it is estimated: tokens that come together are taken to have been made evenly since the last news.

export const TRANSPORTS = ["sse", "websocket", "long", "short"];
export const SHOWN_MS = 8000;
/** What a request and its answer take besides bodies, which script cannot see: about this, of a browser's over HTTP/1.1. */
export const HEAD_BYTES = 800;

class Cost {
  requests = 0;
  bytes = 0;
  tokens = 0;
  delayMs = 0; // of all tokens together
  marks = []; // {at, tokens}: news that came, lately
  #last = null;

  /** Tokens have come together; `delaysMs` are theirs if they were measured. */
  brought(tokens, now, delaysMs = null) {
    const since = this.#last === null ? 0 : now - this.#last;
    this.#last = now;
    if (!tokens) return;
    this.tokens += tokens;
    this.delayMs += delaysMs ? delaysMs.reduce((sum, each) => sum + each, 0) : (since * (tokens - 1)) / 2;
    this.marks.push({ at: now, tokens });
    while (this.marks[0].at < now - SHOWN_MS) this.marks.shift();
  }

  /** Another connection begins: what it brings first says nothing of a delay. */
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

  /** What `follow` tells of its traffic. */
  traffic({ transport, requests = 0, bytes = 0 }) {
    const cost = this.of[transport];
    if (!cost) return;
    cost.requests += requests;
    cost.bytes += bytes + requests * HEAD_BYTES;
  }
}
