// A comparison: four readings of one job, from the same cursor on, each by its own transport.

import { TRANSPORTS } from "./costs.js";
import { Reading } from "./reading.js";

export class Comparison {
  #readings;

  /** Adds to `costs` each reading's traffic and its delays behind the first one. Calls `ended()` when all have ended. */
  constructor(tokentail, jobId, cursor, costs, ended) {
    costs.clear();
    costs.isMeasured = true;
    let open = TRANSPORTS.length;
    const firstSeen = []; // when the first reading had a token: [resets before it][index]
    this.#readings = TRANSPORTS.map((transport) => {
      let resets = 0;
      let index = 0;
      const left = () => (open -= 1) === 0 && ended();
      const to = {
        traffic: ({ requests, bytes }) => costs.traffic({ transport, requests, bytes }),
        failed: left,
        step(step) {
          const now = performance.now();
          if (step.reset) [resets, index] = [resets + 1, 0];
          const seen = (firstSeen[resets] ??= []);
          const tokens = step.tokens.length;
          const delays = step.tokens.map((_, place) => now - (seen[index + place] ??= now));
          index += tokens;
          costs.of[transport].brought(tokens, now, delays);
          if (step.done) left();
        },
      };
      const reading = new Reading(tokentail, jobId, cursor, to);
      reading.over(transport);
      return reading;
    });
  }

  stop() {
    for (const reading of this.#readings) reading.stop();
  }
}
