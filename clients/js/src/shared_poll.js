import { Attempt, pause } from "./environment.js";
import { TokentailError, TransportError, foreignResponse, statusError } from "./errors.js";
import { MOST_BODY_BYTES, hasType, parseJson, randomText, wholeText } from "./http.js";
import { checkedBody, isNews } from "./poll_body.js";
import { Seat } from "./seat.js";

const MOST_READERS = 40; // of one request, whose address then stays below 2 kB
const MOST_PENDING = 16; // bodies that a reader has not taken; with so many it is left out
const GATHER_MS = 10; // before the first request, because a page's followers start together
const PACE_MS = 100; // from one request to the next: text flows, and ten answers cost ten requests a second
const MOST_PAUSE_MS = 30000;

/**
 * One long poll after another for many readers, each of one job from a cursor of its own.
 *
 * The rule it keeps: a reader's cursor moves only with a body that was put into its queue, or that has nothing for it. So
 * a request may be dropped at any moment, and the next one contains all that the dropped one would have brought.
 */
export class SharedPoll {
  #connection;
  #onRefusal;
  #seat;
  #readers = new Set();
  #attempt; // the request under way
  #isRunning = false;

  /** `onRefusal` is called when the server refuses to answer for many jobs at once. */
  constructor(connection, onRefusal) {
    this.#connection = connection;
    this.#onRefusal = onRefusal;
    this.#seat = new Seat(connection.server, () => this.#interrupt("the free connections have changed"));
  }

  get isFull() {
    return this.#readers.size >= MOST_READERS;
  }

  /** The bodies of one job, until `attempt` ends. Throws TransportError, TokentailError. */
  async *bodies(wanted, attempt) {
    const reader = { ...wanted, queue: [], error: undefined, wake: () => {} };
    attempt.signal.addEventListener("abort", () => reader.wake());
    this.#readers.add(reader);
    this.#interrupt("another job is polled, too");
    if (!this.#isRunning) this.#run();
    try {
      for (;;) {
        while (reader.queue.length > 0) {
          if (reader.queue.length === MOST_PENDING) this.#interrupt("a reader that was left out is ready again");
          yield reader.queue.shift();
        }
        if (attempt.error ?? reader.error) throw attempt.error ?? reader.error;
        await new Promise((resolve) => (reader.wake = resolve));
      }
    } finally {
      this.#readers.delete(reader);
      if (this.#readers.size === 0) this.#interrupt("nobody reads");
    }
  }

  #interrupt(why) {
    this.#attempt?.stop(new TransportError("interrupted", why));
  }

  /** Poll for as long as there are readers. */
  async #run() {
    this.#isRunning = true;
    for (let pauseMs = GATHER_MS; this.#readers.size > 0; ) {
      if (pauseMs > 0) await pause(pauseMs);
      const readers = [...this.#readers].filter(({ queue }) => queue.length < MOST_PENDING);
      this.#seat.take();
      pauseMs = readers.length > 0 ? await this.#request(readers) : PACE_MS;
    }
    this.#isRunning = false;
    this.#seat.release();
  }

  /** Poll once for these readers; returns how long to pause before the next time. */
  async #request(readers) {
    const attempt = (this.#attempt = new Attempt());
    const transport = this.#seat.isDenied ? "short" : "long";
    let advisedMs = 0;
    try {
      advisedMs = this.#deliver(await this.#poll(transport, readers, attempt), readers, transport);
    } catch (error) {
      if (error.kind !== "interrupted") this.#fail(error, readers);
    } finally {
      this.#attempt = undefined;
      attempt.end();
    }
    // Browsers delay the timers of hidden tabs, up to a minute.
    if (globalThis.document?.visibilityState === "hidden") return advisedMs;
    const paceMs = Math.max(PACE_MS, Math.min(...readers.map((reader) => reader.lingerMs ?? 0)));
    return Math.max(advisedMs, paceMs - attempt.lastedMs);
  }

  /** What the server has for each of the readers. */
  async #poll(transport, readers, attempt) {
    const { lateMs, silentMs } = this.#connection.timing;
    const waitMs = transport === "long" ? Math.min(...readers.map((reader) => reader.waitMs)) : 0;
    const job = readers.map(({ jobId, cursor }) => `${jobId}:${cursor}`);
    const events = readers.some(({ withEvents }) => withEvents) ? 1 : undefined;
    const address = this.#connection.address("/v1/poll", { job, wait: waitMs / 1000, events, rnd: randomText() });
    attempt.startTimeout(waitMs + lateMs, "cut", "the poll was not answered in time");
    const { count } = readers[0];
    count(transport, 1, 0);
    const response = await this.#connection.request("GET", address, attempt, { headers: { Accept: "application/json" } });
    if (!hasType(response, "application/json")) throw foreignResponse(response);
    const text = await wholeText(response, attempt, silentMs, MOST_BODY_BYTES, (bytes) => count(transport, 0, bytes));
    const entries = parseJson(text)?.jobs ?? [];
    return readers.map(({ jobId, withEvents }, i) => {
      const { problem, job_id } = entries[i] ?? {};
      if (problem && job_id === jobId) return { error: statusError(problem.status, problem) };
      const body = checkedBody(entries[i], jobId);
      return { body: withEvents ? body : withoutEvents(body) };
    });
  }

  /** Hand each reader what was found for it; returns how long the server advises to pause. */
  #deliver(found, readers, transport) {
    const isAnyNews = found.some(({ error, body }) => error || isNews(body));
    readers.forEach((reader, i) => {
      const { error, body } = found[i];
      if (body) reader.cursor = body.cursor;
      // A poll that ends without news is a sign of life for all.
      if (body && (isNews(body) || !isAnyNews)) reader.queue.push({ ...body, transport });
      if (error || body.done) this.#readers.delete(reader);
      reader.error = error;
      reader.wake();
    });
    const advisedMs = found.map(({ body }) => Number(body?.poll_after_ms) || 0);
    return isAnyNews && transport === "long" ? 0 : Math.min(...advisedMs, MOST_PAUSE_MS);
  }

  /** A request failed, so each of its readers did: each decides for itself what comes next. */
  #fail(error, readers) {
    const isRefusal = error instanceof TokentailError;
    if (isRefusal) this.#onRefusal();
    for (const reader of readers) {
      this.#readers.delete(reader);
      reader.error = isRefusal ? new TransportError("interrupted", error.message) : error;
      reader.wake();
    }
  }
}

/** A body of events as a poll of tokens has it. */
function withoutEvents({ events, ...body }) {
  return events ? { ...body, tokens: events.filter((element) => typeof element === "string") } : body;
}
