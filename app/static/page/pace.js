// The pace: tokens a second, lately. Pure; the caller brings the time.

const LATELY_MS = 4000;

export class Pace {
  #began = null;
  #arrivals = [];

  /** So many tokens have come. The first of them only begin it: they may have been there for long. */
  add(tokens, now) {
    if (this.#began !== null) this.#arrivals.push([now, tokens]);
    else if (tokens) this.#began = now;
  }

  /** Tokens a second; null before there is anything to tell. */
  perSecond(now) {
    while (this.#arrivals.length && this.#arrivals[0][0] < now - LATELY_MS) this.#arrivals.shift();
    const watchedMs = Math.min(now - this.#began, LATELY_MS);
    if (this.#began === null || watchedMs < 500) return null;
    return (1000 * this.#arrivals.reduce((sum, [, tokens]) => sum + tokens, 0)) / watchedMs;
  }
}
