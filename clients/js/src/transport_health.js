import { randomBetween } from "./timing.js";

/**
 * Which transport works between this client and its server, and when to try a better one. One object serves all jobs
 * that are followed with the same `transport` option. A transport is an index: 0 is the best one.
 */
export class TransportHealth {
  transport = 0;
  tryUpgradeAt = 0;
  #upgradedAt = -Infinity;
  #pauseMs;
  #timing;

  constructor(timing) {
    this.#timing = timing;
    this.#pauseMs = timing.climbMs;
  }

  /** After a downgrade, `transport` brought something. */
  downgraded(transport) {
    // A downgrade soon after an upgrade means that the network is as bad as it was.
    const hasFailed = performance.now() - this.#upgradedAt < 2 * this.#pauseMs;
    this.transport = transport;
    if (hasFailed) this.upgradeFailed();
    else this.#scheduleUpgrade(this.#timing.climbMs);
  }

  upgraded(transport) {
    this.transport = transport;
    this.#upgradedAt = performance.now();
    this.#scheduleUpgrade(this.#pauseMs);
  }

  upgradeFailed() {
    this.#scheduleUpgrade(Math.min(this.#pauseMs * 2, this.#timing.longestClimbMs));
  }

  #scheduleUpgrade(pauseMs) {
    this.#pauseMs = pauseMs;
    this.tryUpgradeAt = performance.now() + pauseMs * randomBetween(1, 1.2);
  }
}
