// The pace: tokens per second in the last seconds. Pure; the caller passes the time.

const LATELY_MS = 4000;

export class Pace {
  #began = null;
  #arrivals = [];

  /** Add a step's number of tokens. The first step only starts the measurement: its tokens may be old. */
  add(tokens, now) {
    if (this.#began !== null) this.#arrivals.push([now, tokens]);
    else if (tokens) this.#began = now;
  }

  /** Tokens per second; null before there is enough to measure. */
  perSecond(now) {
    while (this.#arrivals.length && this.#arrivals[0][0] < now - LATELY_MS) this.#arrivals.shift();
    const watchedMs = Math.min(now - this.#began, LATELY_MS);
    if (this.#began === null || watchedMs < 500) return null;
    return (1000 * this.#arrivals.reduce((sum, [, tokens]) => sum + tokens, 0)) / watchedMs;
  }
}
