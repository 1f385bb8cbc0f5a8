import { randomBetween } from "./timing.js";

/**
 * Which transport works between this client and its server, and when to try a better one. One object serves all jobs
 * that are followed with the same `transport` option. A transport is an index: 0 is the best one. In a browser's tab, what
 * was learned outlives the page.
 */
export class TransportHealth {
  transport = 0;
  tryUpgradeAt = 0;
  #upgradedAt = -Infinity;
  #pauseMs;
  #timing;
  #name;

  /** `name` is of the server and the option; `count` is how many transports there are. */
  constructor(timing, name, count) {
    this.#timing = timing;
    this.#pauseMs = timing.climbMs;
    this.#name = `tokentail ${name}`;
    const learned = Number(tabStorage()?.getItem(this.#name));
    if (learned > 0 && learned < count) this.downgraded(Math.floor(learned));
  }

  /** After a downgrade, `transport` brought something. */
  downgraded(transport) {
    // A downgrade soon after an upgrade means that the network is as bad as it was.
    const hasFailed = performance.now() - this.#upgradedAt < 2 * this.#pauseMs;
    this.#learn(transport);
    if (hasFailed) this.upgradeFailed();
    else this.#scheduleUpgrade(this.#timing.climbMs);
  }

  upgraded(transport) {
    this.#learn(transport);
    this.#upgradedAt = performance.now();
    this.#scheduleUpgrade(this.#pauseMs);
  }

  upgradeFailed() {
    this.#scheduleUpgrade(Math.min(this.#pauseMs * 2, this.#timing.longestClimbMs));
  }

  #learn(transport) {
    this.transport = transport;
    try {
      tabStorage()?.setItem(this.#name, transport);
    } catch {
      return; // it is full: the next page learns anew
    }
  }

  #scheduleUpgrade(pauseMs) {
    this.#pauseMs = pauseMs;
    this.tryUpgradeAt = performance.now() + pauseMs * randomBetween(1, 1.2);
  }
}

/** The tab's storage; undefined outside browsers, and where a page may not use it. */
function tabStorage() {
  try {
    return globalThis.document && globalThis.sessionStorage;
  } catch {
    return undefined;
  }
}
