import { crowdOf } from "./crowd.js";
import { Detour } from "./detour.js";
import { Attempt, Environment } from "./environment.js";
import { TransportError } from "./errors.js";
import { isNews } from "./poll_body.js";
import { LEAST_WAIT_MS, MOST_BACKOFF_MS, MOST_FAULTS, randomBetween, retryPauseMs } from "./timing.js";
import { Transports } from "./transports.js";

/** The transports of each `transport` option, the best one first. */
export const TRANSPORTS_OF = {
  auto: ["sse", "websocket", "long", "short"],
  websocket: ["websocket", "sse", "long", "short"],
  sse: ["sse"],
  long: ["long"],
  short: ["short"],
};
const MOST_CUTS = 3; // of streams in a row that each lasted less than STABLE_MS
const STABLE_MS = 30000;
const OFFLINE_MS = 30000; // a browser that reports to be offline may be wrong

const isPoll = (transport) => transport === "long" || transport === "short";

/**
 * Follows one job from a cursor to its end, by the best of `transports` that works.
 *
 * The rule it keeps: the cursor moves only with a step that is delivered, and every request contains the cursor. So a
 * request or stream may fail at any moment, and each token is still delivered once and in order.
 */
export class Follower {
  #cursor;
  #signal;
  #pausesHidden;
  #onTransport;
  #onTrouble;
  #candidates;
  #health;
  #patienceMs;
  #current; // index in #candidates
  #transports;
  #detour;
  #hasRead = false;
  #environment;
  #failures = 0; // attempts in a row that brought nothing
  #faults = 0;
  #cuts = 0;
  #foreignSince; // when the first of several answers in a row came that no Tokentail server gave
  #trouble; // the last sentence that the caller received about it
  #downgrade; // the last one, until the new transport brings something
  #isToCheck = false; // a WebSocket is silent: one short poll shows whether it withholds something
  #probe;

  constructor(connection, jobId, options, candidates, health) {
    const { cursor = "0", events = false, lingerMs, signal, pauseHidden = true, onTraffic, onTransport, onTrouble } = options;
    this.#transports = new Transports(connection, jobId, events, lingerMs, onTraffic);
    const crowd = candidates.includes("long") ? crowdOf(connection) : undefined;
    this.#detour = new Detour(crowd, connection.server, (why) => this.#environment.interrupt(why));
    this.#cursor = String(cursor);
    this.#signal = signal;
    this.#pausesHidden = pauseHidden;
    this.#onTransport = onTransport;
    this.#onTrouble = onTrouble;
    this.#candidates = candidates;
    this.#health = health;
    this.#patienceMs = connection.timing.patienceMs;
    this.#current = health.transport;
  }

  async *steps() {
    const environment = (this.#environment = new Environment(this.#signal, this.#pausesHidden));
    if (this.#current > 0) this.#report("learned before");
    try {
      for (;;) {
        if (environment.isHidden) this.#detour.rest();
        await environment.visible();
        this.#tryUpgrade();
        const transport = this.#chooseTransport();
        const attempt = environment.attempt();
        let pauseMs;
        try {
          for await (const body of this.#bodies(transport, attempt)) {
            environment.check();
            this.#received(body);
            this.#cursor = body.cursor;
            yield { transport, ...body };
            if (body.done) return;
          }
          environment.check();
          pauseMs = this.#ended(transport, attempt);
        } catch (error) {
          environment.check();
          if (!(error instanceof TransportError)) throw error;
          pauseMs = this.#failed(error, transport, attempt);
        } finally {
          attempt.end();
        }
        await environment.sleep(pauseMs);
      }
    } finally {
      this.#detour.leave();
      this.#endProbe();
      environment.close();
    }
  }

  /** The transport of the next attempt. */
  #chooseTransport() {
    const own = this.#transport;
    const detour = this.#detour;
    if (own === "sse" || own === "long") {
      const before = detour.transport ?? own;
      detour.choose();
      if (before !== (detour.transport ?? own)) this.#report(detour.why);
    } else {
      detour.leave();
    }
    // The first read is this follower's alone: a wrong cursor would spoil the poll of all.
    if (this.#isToCheck || (detour.isShared && !this.#hasRead)) return "short";
    return detour.transport ?? own;
  }

  #bodies(transport, attempt) {
    if (this.#detour.isShared && transport === "long") return this.#transports.sharedBodies(this.#detour, this.#cursor, attempt);
    return this.#transports.bodies(transport, this.#cursor, attempt);
  }

  get #transport() {
    return this.#candidates[this.#current];
  }

  #report(why) {
    this.#onTransport?.(this.#detour.transport ?? this.#transport, why);
  }

  /** Tell the caller why nothing arrives, each reason once; undefined once something arrives again. */
  #tell(why) {
    if (why !== this.#trouble) this.#onTrouble?.(why);
    this.#trouble = why;
  }

  #received(body) {
    this.#failures = this.#faults = 0;
    this.#foreignSince = undefined;
    this.#hasRead = true;
    this.#tell(undefined);
    if (this.#isToCheck) {
      this.#isToCheck = false;
      if (isNews(body) && !body.done) this.#tryDowngrade("mute", "the WebSocket is mute");
    }
    const downgrade = this.#downgrade;
    if (downgrade === undefined) return;
    this.#downgrade = undefined;
    if (downgrade.isOutage && downgrade.hasFailedSince) {
      // No transport worked, so the server was away, and the transport before the downgrade is sound.
      this.#current = downgrade.from;
      this.#report("the server is back");
    } else {
      this.#health.downgraded(this.#current);
    }
  }

  /** An attempt ended without an error; returns how long to pause before the next one. */
  #ended(transport, attempt) {
    if (isPoll(transport)) return this.#detour.isShared ? 0 : this.#transports.pollPauseMs;
    return this.#failed(new TransportError("cut", "the stream ended early"), transport, attempt);
  }

  /** An attempt failed; returns how long to pause before the next one. Throws errors that no attempt would change. */
  #failed(error, transport, attempt) {
    const { kind } = error;
    if (kind === "interrupted") return 0;
    if (kind === "silent") {
      this.#isToCheck = true;
      return 0;
    }
    if (this.#downgrade) this.#downgrade.hasFailedSince = true;
    this.#failures += 1;
    if (kind === "fault") this.#faults += 1;
    if (kind === "foreign") this.#foreignSince ??= performance.now();
    if (kind === "cut") this.#cuts = attempt.lastedMs < STABLE_MS ? this.#cuts + 1 : 0;
    const isHopeless = kind === "refused" || this.#faults >= MOST_FAULTS || this.#isForeignTooLong(kind);
    const why = isHopeless ? error.message : this.#reasonToDowngrade(error, transport, attempt);
    if (kind === "away" || kind === "foreign") this.#tell(error.message);
    if (why && this.#tryDowngrade(kind, why)) return 0;
    if (isHopeless) throw error.final;
    if (kind !== "cut" || isPoll(transport)) {
      return this.#environment.isOffline ? OFFLINE_MS : retryPauseMs(error, this.#failures);
    }
    // A web process that stops cuts all its streams at once: a random pause spreads their return.
    return Math.min(this.#transports.retryMs, MOST_BACKOFF_MS) * randomBetween(0.2, 1);
  }

  #reasonToDowngrade(error, transport, attempt) {
    const { kind, message } = error;
    if (transport === "short") return undefined;
    if (transport === "long" && kind !== "foreign") {
      const neverWaits = attempt.lastedMs < LEAST_WAIT_MS && this.#failures > MOST_CUTS;
      return this.#isLeastWaitCut(error, attempt) || neverWaits ? "long polls are cut" : undefined;
    }
    const isReason = {
      mute: true,
      unopened: true,
      foreign: true,
      away: this.#failures >= MOST_CUTS,
      cut: this.#cuts >= MOST_CUTS,
    };
    return isReason[kind] ? (kind === "cut" ? "cut too often" : message) : undefined;
  }

  /** Whether even the shortest long poll is cut. A longer one that was cut waits less from now on. */
  #isLeastWaitCut({ retryAfterMs }, { lastedMs }) {
    if (lastedMs < LEAST_WAIT_MS || retryAfterMs !== undefined) return false; // waiting was not why it failed
    return !this.#transports.shortenWait(lastedMs);
  }

  /** Whether something else has answered for longer than an outage may last. */
  #isForeignTooLong(kind) {
    return kind === "foreign" && performance.now() - this.#foreignSince > this.#patienceMs;
  }

  #tryDowngrade(kind, why) {
    const failed = this.#candidates.indexOf(this.#detour.transport ?? this.#transport);
    if (failed + 1 >= this.#candidates.length) return false;
    if (this.#detour.transport) this.#detour.leave();
    const isOutage = kind === "away" || kind === "foreign";
    const from = this.#downgrade?.isOutage ? this.#downgrade.from : this.#current; // nothing has arrived since that one
    this.#downgrade = { isOutage, from, hasFailedSince: false };
    // A WebSocket that must take the place of a stream is tried beside the polls: no token waits for it.
    this.#current = failed + (this.#candidates[failed] === "sse" && this.#candidates[failed + 1] === "websocket" ? 2 : 1);
    this.#cuts = this.#failures = this.#faults = 0;
    this.#report(why);
    return true;
  }

  #tryUpgrade() {
    const health = this.#health;
    if (this.#probe?.hasPassed !== undefined) {
      if (this.#probe.hasPassed) this.#upgrade(this.#probe.passed);
      else health.upgradeFailed();
      this.#probe = undefined;
    } else if (this.#current > 0 && !this.#detour.transport && this.#isTimeToUpgrade) {
      if (this.#transport === "short") this.#upgrade(this.#current - 1);
      else this.#startProbe();
    }
  }

  get #isTimeToUpgrade() {
    return !this.#probe && !this.#downgrade && performance.now() >= this.#health.tryUpgradeAt;
  }

  #upgrade(transport) {
    this.#current = transport;
    if (this.#transport === "long") this.#transports.resetWait();
    this.#health.upgraded(this.#current);
    this.#report("tried again");
  }

  /** Open the better transports beside the current one, the best first, to learn which one works. */
  #startProbe() {
    const probe = (this.#probe = { attempt: undefined, isOver: false, hasPassed: undefined, passed: undefined });
    this.#firstThatWorks(probe, this.#current).then((passed) => {
      probe.passed = passed;
      probe.hasPassed = passed !== undefined;
    });
  }

  #endProbe() {
    if (!this.#probe) return;
    this.#probe.isOver = true;
    this.#probe.attempt?.end();
  }

  async #firstThatWorks(probe, end) {
    for (let i = 0; i < end && !probe.isOver; i += 1) {
      const attempt = (probe.attempt = new Attempt());
      try {
        await this.#transports.probe(this.#candidates[i], this.#cursor, attempt);
        return i;
      } catch {
        continue; // why it does not work is of no use to the polls
      } finally {
        attempt.end();
      }
    }
    return undefined;
  }
}
