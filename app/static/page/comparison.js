// A comparison: four readings of one job at once, from one cursor on, each over its own transport.

import { TRANSPORTS } from "./costs.js";
import { Reading } from "./reading.js";

export class Comparison {
  #readings;

  /** Tells `costs` what each takes, and how much later than the first of them each has a token. `ended()` when all have. */
  constructor(tokentail, jobId, cursor, costs, ended) {
    costs.clear();
    costs.isMeasured = true;
    let open = TRANSPORTS.length;
    const firstSeen = []; // by how often a reading was reset, then by token
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
