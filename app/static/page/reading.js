// A reading: one follower of a job, whose transport can be changed at any step without losing the cursor.

/**
 * `to` receives everything: `step(step)`, `traffic({transport, requests, bytes})`, `transport(name, why)`,
 * `trouble(why)`, `failed(error)`.
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

  /** Continue by this transport. A request in flight is dropped: the cursor has not moved, so nothing is lost. */
  over(transport) {
    this.stop();
    const mine = (this.#abort = new AbortController());
    this.#read(transport, mine.signal).catch((error) => {
      if (!mine.signal.aborted) this.#to.failed(error);
    });
  }

  /** Stop reading. */
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
      onTrouble: (why) => signal.aborted || this.#to.trouble?.(why),
      onTransport: (name, why) => signal.aborted || this.#to.transport?.(name, why),
    });
    for await (const step of steps) {
      if (signal.aborted) return;
      this.cursor = step.cursor;
      this.#to.step(step);
    }
  }
}
