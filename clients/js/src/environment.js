import { TransportError, abortError } from "./errors.js";

const TICK_MS = 2000;
const SLEPT_MS = 8000; // a tick this late means that the machine slept, so its connections are dead

/** Resolves to true after `ms`. */
export function pause(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms, true));
}

/** One attempt: a signal for its requests, and a timeout that ends it when nothing arrives. */
export class Attempt {
  startedAt = performance.now();
  error = undefined; // the TransportError for which it was stopped
  #controller = new AbortController();
  #timer;

  get signal() {
    return this.#controller.signal;
  }

  get lastedMs() {
    return performance.now() - this.startedAt;
  }

  stop(error) {
    this.error ??= error;
    this.end();
  }

  startTimeout(ms, kind, message) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.stop(new TransportError(kind, message)), ms);
  }

  clearTimeout() {
    clearTimeout(this.#timer);
  }

  end() {
    this.clearTimeout();
    this.#controller.abort();
  }
}

/** The environment of a call: the caller's signal, whether the tab is hidden, the network, and a machine's sleep. */
export class Environment {
  #signal;
  #pausesHidden;
  #attempt;
  #wakers = new Set();
  #removals = [];
  #ticking;

  constructor(signal, pausesHidden) {
    this.#signal = signal;
    this.#pausesHidden = pausesHidden;
    this.#listen(signal, "abort", () => this.interrupt("aborted"));
    this.#listen(globalThis, "online", () => this.interrupt("the network is back"));
    this.#listen(globalThis.document, "visibilitychange", () => {
      if (this.isHidden) this.interrupt("the tab is hidden");
      else this.#wake();
    });
    let tickedAt = Date.now();
    this.#ticking = setInterval(() => {
      const lateMs = Date.now() - tickedAt - TICK_MS;
      tickedAt = Date.now();
      // Browsers delay the timers of hidden tabs, so a late tick there is not a machine's sleep.
      if (lateMs > SLEPT_MS && globalThis.document?.visibilityState !== "hidden") this.interrupt("the machine slept");
    }, TICK_MS);
  }

  get isOffline() {
    return globalThis.navigator?.onLine === false;
  }

  get isHidden() {
    return this.#pausesHidden && globalThis.document?.visibilityState === "hidden";
  }

  /** Throws the signal's reason if the caller has aborted. */
  check() {
    if (this.#signal?.aborted) throw this.#signal.reason ?? abortError();
  }

  attempt() {
    this.check();
    this.#attempt = new Attempt();
    return this.#attempt;
  }

  /** Resolves when the tab is visible, at once where hidden tabs do not pause. */
  async visible() {
    this.check();
    while (this.isHidden) await this.sleep();
  }

  /** Resolves after `ms`, or earlier when the environment changes; without `ms` only when it changes. */
  async sleep(ms) {
    this.check();
    if (ms === undefined || ms > 0) {
      let timer;
      await new Promise((resolve) => {
        this.#wakers.add(resolve);
        if (ms !== undefined) timer = setTimeout(resolve, ms);
      });
      clearTimeout(timer);
      this.#wakers.clear();
      this.check();
    }
  }

  /** End the attempt and the pause that are under way. */
  interrupt(message) {
    this.#attempt?.stop(new TransportError("interrupted", message));
    this.#wake();
  }

  close() {
    clearInterval(this.#ticking);
    this.#attempt?.end();
    for (const remove of this.#removals) remove();
  }

  #listen(target, name, listener) {
    if (!target?.addEventListener) return;
    target.addEventListener(name, listener);
    this.#removals.push(() => target.removeEventListener(name, listener));
  }

  #wake() {
    for (const wake of this.#wakers) wake();
  }
}
