import { Attempt, pause } from "./environment.js";
import { TransportError, closeError, foreignResponse } from "./errors.js";
import { EventParser } from "./event_parser.js";
import { MOST_BODY_BYTES, chunksOf, hasType, jobPath, parseJson, randomText, wholeText } from "./http.js";
import { checkedBody, elementsOf, isNews } from "./poll_body.js";
import { LEAST_WAIT_MS, randomBetween } from "./timing.js";

const LEAST_POLL_MS = 100; // between polls that bring nothing, whatever the server advises
const MOST_POLL_MS = 30000;
const MOST_PENDING_BYTES = 16 << 20; // of a WebSocket's messages that the caller has not taken
const MESSAGE_OVERHEAD_BYTES = 64;

/** Reads one job from a cursor, once, by any transport. The caller decides which one, and what a failure means. */
export class Transports {
  pollPauseMs = 0; // how long to pause after the last poll
  retryMs = 1000; // how long the server's streams ask to pause before the next one
  #connection;
  #jobId;
  #withEvents;
  #lingerMs;
  #waitMs;
  #onTraffic;

  constructor(connection, jobId, withEvents, lingerMs, onTraffic) {
    this.#connection = connection;
    this.#jobId = jobId;
    this.#withEvents = withEvents;
    this.#lingerMs = lingerMs || undefined;
    this.#onTraffic = onTraffic;
    this.resetWait();
  }

  /** Let long polls wait as long as they may. */
  resetWait() {
    this.#waitMs = this.#connection.timing.waitMs;
  }

  /** Let long polls wait less than `cutAfterMs`, after which one was cut; false if they wait the minimum already. */
  shortenWait(cutAfterMs) {
    if (this.#waitMs <= LEAST_WAIT_MS) return false;
    this.#waitMs = Math.max(Math.min(this.#waitMs / 2, cutAfterMs * 0.7), LEAST_WAIT_MS);
    return true;
  }

  /** The poll bodies that one request, stream or socket brings. Throws TransportError, TokentailError. */
  bodies(transport, cursor, attempt) {
    if (transport === "sse") return this.#readStream(cursor, attempt);
    if (transport === "websocket") return this.#readSocket(cursor, attempt);
    return this.#poll(transport, cursor, attempt);
  }

  /** The poll bodies that a poll brings which other jobs share. */
  sharedBodies(detour, cursor, attempt) {
    const count = (...traffic) => this.#count(...traffic);
    const [jobId, withEvents, lingerMs, waitMs] = [this.#jobId, this.#withEvents, this.#lingerMs, this.#waitMs];
    return detour.bodies({ jobId, cursor, withEvents, lingerMs, waitMs, count }, attempt);
  }

  /** Resolves when a stream brings its first bytes, or a socket opens. Nothing that they bring is used. */
  async probe(transport, cursor, attempt) {
    if (transport === "websocket") return this.#probeSocket(cursor, attempt);
    for await (const _ of this.#streamChunks(cursor, attempt)) return undefined;
    throw new TransportError("mute", "the stream said nothing");
  }

  async *#poll(transport, cursor, attempt) {
    const { lateMs, silentMs } = this.#connection.timing;
    const isLong = transport === "long";
    const waiting = isLong ? { wait: this.#waitMs / 1000, linger_ms: this.#lingerMs, rnd: randomText() } : {};
    const kind = this.#withEvents ? "events" : "tokens";
    const address = this.#connection.address(`${jobPath(this.#jobId)}/${kind}`, { cursor, ...waiting });
    attempt.startTimeout((isLong ? this.#waitMs : 0) + lateMs, "cut", "the poll was not answered in time");
    this.#count(transport, 1, 0);
    const headers = { Accept: "application/json" };
    const response = await this.#connection.request("GET", address, attempt, { headers });
    if (!hasType(response, "application/json")) throw foreignResponse(response);
    const count = (bytes) => this.#count(transport, 0, bytes);
    const body = this.#parse(await wholeText(response, attempt, silentMs, MOST_BODY_BYTES, count));
    const hasNews = elementsOf(body).length > 0 || body.reset;
    const leastMs = hasNews && isLong ? 0 : LEAST_POLL_MS;
    const advisedMs = Number(body.poll_after_ms) || 0;
    // News with no pause advised means that the log has more already, which is read at once.
    const isBehind = hasNews && advisedMs === 0;
    const pauseMs = Math.min(Math.max(advisedMs, leastMs), MOST_POLL_MS);
    this.pollPauseMs = isBehind ? 0 : pauseMs * randomBetween(1, 1.1);
    yield body;
  }

  async *#readStream(cursor, attempt) {
    const chunks = this.#streamChunks(cursor, attempt);
    const first = chunks.next();
    const body = await this.#bodyBeside(first, cursor);
    if (body) {
      yield { ...body, transport: "long" };
      throw new TransportError("mute", "the stream is mute");
    }
    let part = await first;
    const parser = new EventParser(); // which needs what `first` found to be there
    for (; !part.done; part = await chunks.next()) {
      const chunk = part.value;
      let events;
      try {
        events = parser.push(chunk);
      } catch (error) {
        throw new TransportError("refused", error.detail, { error }); // polls may bring a large event in parts
      }
      for (const event of events) yield this.#parse(event.data);
      this.retryMs = parser.retryMs ?? this.retryMs;
    }
  }

  /** What a long poll brings while the stream brings nothing; undefined if the stream speaks or fails first. */
  async #bodyBeside(first, cursor) {
    const settled = first.then(() => undefined, () => undefined);
    const isLate = pause(this.#connection.timing.besideMs);
    if (!(await Promise.race([settled, isLate]))) return undefined;
    const attempt = new Attempt();
    const poll = this.#poll("long", cursor, attempt).next().then(({ value }) => value, () => undefined);
    try {
      const body = await Promise.race([settled, poll]);
      return body && isNews(body) ? body : await settled;
    } finally {
      attempt.end();
    }
  }

  async *#streamChunks(cursor, attempt) {
    yield* this.#chunks(await this.#openStream(cursor, attempt), attempt);
  }

  async #openStream(cursor, attempt) {
    const address = this.#connection.address(`${jobPath(this.#jobId)}/stream`, this.#streamQuery(cursor));
    attempt.startTimeout(this.#connection.timing.muteMs, "mute", "the stream is mute");
    this.#count("sse", 1, 0);
    const headers = { Accept: "text/event-stream" };
    const response = await this.#connection.request("GET", address, attempt, { headers });
    if (hasType(response, "text/event-stream")) return response;
    throw foreignResponse(response);
  }

  async *#chunks(response, attempt) {
    const { silentMs } = this.#connection.timing;
    for await (const chunk of chunksOf(response, attempt, silentMs, "mute", "the stream has gone mute")) {
      this.#count("sse", 0, chunk.byteLength);
      yield chunk;
    }
  }

  async *#readSocket(cursor, attempt) {
    const socket = this.#openSocket(cursor, attempt);
    const received = [];
    let pendingBytes = 0;
    let wake = () => {};
    let isOpen = false;
    let closed;
    const notify = () => wake();
    socket.onopen = () => (isOpen = true) && notify();
    socket.onmessage = ({ data }) => {
      received.push(data);
      pendingBytes += data.length + MESSAGE_OVERHEAD_BYTES;
      if (pendingBytes > MOST_PENDING_BYTES) socket.close(); // the next socket starts at the caller's cursor
      notify();
    };
    socket.onclose = (event) => (closed = event) && notify();
    socket.onerror = () => isOpen || ((closed ??= {}) && notify()); // Node 22 does not close a socket that was refused
    attempt.signal.addEventListener("abort", notify);
    try {
      for (;;) {
        while (received.length > 0) {
          for (const text of received.splice(0)) {
            pendingBytes -= text.length + MESSAGE_OVERHEAD_BYTES;
            this.#count("websocket", 0, globalThis.TextEncoder ? new TextEncoder().encode(text).byteLength : text.length);
            yield this.#parse(text);
          }
        }
        if (attempt.error) throw attempt.error;
        if (closed) throw closeError(closed, isOpen);
        // Browsers hide pings, so a socket that brings nothing may be dead or the job may be quiet.
        if (isOpen) attempt.startTimeout(this.#connection.timing.silentMs, "silent", "the WebSocket is silent");
        await new Promise((resolve) => (wake = resolve));
        if (isOpen) attempt.clearTimeout();
      }
    } finally {
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
    }
  }

  async #probeSocket(cursor, attempt) {
    const socket = this.#openSocket(cursor, attempt);
    try {
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onclose = socket.onerror = reject;
        attempt.signal.addEventListener("abort", reject);
      });
    } finally {
      socket.close();
    }
  }

  #openSocket(cursor, attempt) {
    if (!globalThis.WebSocket) throw new TransportError("refused", "there are no WebSockets here");
    if (!this.#connection.canOpenSockets) throw new TransportError("refused", "a WebSocket cannot send a key");
    attempt.startTimeout(this.#connection.timing.openMs, "unopened", "the WebSocket did not open");
    this.#count("websocket", 1, 0);
    return new WebSocket(this.#connection.address(`${jobPath(this.#jobId)}/ws`, this.#streamQuery(cursor), true));
  }

  #streamQuery(cursor) {
    return { cursor, events: this.#withEvents ? 1 : undefined, linger_ms: this.#lingerMs };
  }

  #count(transport, requests, bytes) {
    this.#onTraffic?.({ transport, requests, bytes });
  }

  #parse(text) {
    return checkedBody(parseJson(text), this.#jobId);
  }
}
