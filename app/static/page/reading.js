// A reading: one follower of a job, whose transport can be changed at any step without losing its place.

/**
 * `to` takes what comes: `step(step)`, `traffic({transport, requests, bytes})`, `transport(name, why)`, `failed(error)`.
 */
export class Reading {
  #tokentail;
  #jobId;
  #to;
  #abort = new AbortController();

  constructor(tokentail, jobId, cursor, to, options = {}) {
    this.#tokentail = tokentail;
    this.#jobId = jobId;
    this.cursor = cursor;
    this.#to = to;
    this.options = options;
  }

  /** Read on over this transport; what another one is fetching is dropped, for its cursor has not moved yet. */
  over(transport) {
    this.stop();
    const mine = (this.#abort = new AbortController());
    this.#read(transport, mine.signal).catch((error) => {
      if (!mine.signal.aborted) this.#to.failed(error);
    });
  }

  /** Read no more. */
  stop() {
    this.#abort.abort();
  }

  async #read(transport, signal) {
    const steps = this.#tokentail.follow(this.#jobId, {
      ...this.options,
      cursor: this.cursor,
      transport,
      signal,
      onTraffic: (traffic) => this.#to.traffic?.(traffic),
      onTransport: (name, why) => signal.aborted || this.#to.transport?.(name, why),
    });
    for await (const step of steps) {
      if (signal.aborted) return;
      this.cursor = step.cursor;
      this.#to.step(step);
    }
  }
}
