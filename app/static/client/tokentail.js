// @ts-self-types="./tokentail.d.ts"
/*
 * tokentail.js: submit prompts to a Tokentail server and follow their answers over whatever network there is.
 * One module without dependencies, for browsers, Node 20 and Deno. docs/javascript.md tells how to use it.
 *
 * The rule it keeps: `cursor` moves only with a step that is delivered, and every request says from which cursor on.
 * So whatever becomes of a request or a stream, no token is lost, comes twice or out of order.
 */

const TIMING = {
  muteMs: 5000, // a stream that was asked for and has said nothing since: the server's first word comes at once
  silentMs: 25000, // the same in mid-stream, where a heartbeat comes every 10 s
  waitMs: 20000, // how long a long poll may wait
  climbMs: 30000, // after a move down, until the first try to move up; each that fails doubles it
  longestClimbMs: 600000,
  patienceMs: 60000, // for how long a call other than `follow` is tried again
};
const LADDERS = {
  auto: ["sse", "long", "short"],
  websocket: ["websocket", "sse", "long", "short"],
  sse: ["sse"],
  long: ["long"],
  short: ["short"],
};
const CUTS = 3; // of streams in a row that make one move down, unless they lived for LIVED_MS
const LIVED_MS = 30000;
const UNOPENED = 2; // sockets
const FAULTS = 5; // answers in a row that no Tokentail server should give
const LEAST_WAIT_MS = 1000;
const LEAST_POLL_MS = 100; // between polls that bring nothing, whatever is advised
const MOST_POLL_MS = 30000;
const MOST_RETRY_AFTER_MS = 60000;
const MOST_BACKOFF_MS = 10000;
const OFFLINE_MS = 30000; // a browser that says it is offline may be wrong
const TICK_MS = 2000;
const SLEPT_MS = 8000; // a tick that is so late: the machine slept, and its connections are dead

const PASSING = new Set([408, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524, 530]);

/** What no further try would change. */
export class TokentailError extends Error {
  constructor(status, type, detail, retryAfterMs) {
    super(detail);
    this.name = "TokentailError";
    this.status = status;
    this.type = type;
    this.detail = detail;
    this.retryAfterMs = retryAfterMs;
  }
}

/** One server, as one caller sees it. */
export class Tokentail {
  #line;
  #roads = {};

  constructor({ url = "", key, token, fetch, timing } = {}) {
    // Looked up at each call, so that a page may replace it; as a method of ours, browsers would refuse to run it.
    const lookedUp = (...given) => globalThis.fetch(...given);
    this.#line = new Line(url.replace(/\/+$/, ""), key, token, fetch ?? lookedUp, { ...TIMING, ...timing });
  }

  /** Submit a request, `{prompt}` or `{messages}` and more; the job. However often it is sent, it makes one job. */
  submit(request, { idempotencyKey = randomKey(), signal } = {}) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey };
    return this.#line.call("POST", "/v1/jobs", { headers, body: JSON.stringify(request), signal });
  }

  /** What the job says from `cursor` on, step by step; ends after the step with `done`. */
  follow(jobId, options = {}) {
    const { transport = "auto" } = options;
    if (!Object.hasOwn(LADDERS, transport)) throw new TypeError(`There is no transport "${transport}".`);
    // What is learned of the way to the server holds for the next job, too.
    const road = (this.#roads[transport] ??= new Road(this.#line.timing));
    return new Following(this.#line, String(jobId), options, LADDERS[transport], road).steps();
  }

  cancel(jobId, { signal } = {}) {
    return this.#line.call("POST", `${jobPath(jobId)}/cancel`, { signal });
  }

  async delete(jobId, { signal } = {}) {
    await this.#line.call("DELETE", jobPath(jobId), { signal });
  }

  job(jobId, { signal } = {}) {
    return this.#line.call("GET", jobPath(jobId), { signal });
  }

  jobs({ limit, olderThan, signal } = {}) {
    return this.#line.call("GET", "/v1/jobs", { query: { limit, older_than: olderThan }, signal });
  }

  /** The text so far, of the current generation. */
  text(jobId, { signal } = {}) {
    return this.#line.call("GET", `${jobPath(jobId)}/text`, { signal });
  }

  models({ signal } = {}) {
    return this.#line.call("GET", "/v1/models", { signal });
  }

  /** A link, and the read token in it, with which others can read this job. */
  share(jobId, { signal } = {}) {
    return this.#line.call("POST", `${jobPath(jobId)}/share`, { signal });
  }

  /** Trade a key for the cookie of a session; from then on this client sends no key by itself. */
  async openSession(key, { signal } = {}) {
    await this.#line.call("POST", "/v1/session", { key, signal });
    this.#line.forgetKey();
  }

  async closeSession({ signal } = {}) {
    await this.#line.call("DELETE", "/v1/session", { signal });
  }
}

/** Keep a job in the page's address, where a reload or a bookmark finds it; `null` takes it out. */
export function remember(jobId) {
  const address = new URL(globalThis.location.href);
  if (address.searchParams.get("job") !== jobId) address.searchParams.delete("token"); // it was for another one
  if (jobId === null) address.searchParams.delete("job");
  else address.searchParams.set("job", jobId);
  globalThis.history.replaceState(globalThis.history.state, "", address);
  return jobId;
}

/** The job in the page's address, and the read token if it is a share link. */
export function recall() {
  const query = new URLSearchParams(globalThis.location?.search);
  return { job: query.get("job") ?? undefined, token: query.get("token") ?? undefined };
}

/** Server-Sent Events out of bytes, however they are cut (WHATWG HTML, 9.2.6). */
export class EventParser {
  lastEventId = "";
  retryMs = undefined;
  #decoder = new TextDecoder(); // drops a byte order mark, as the format wants
  #line = "";
  #isAfterCr = false;
  #idBuffer = "";
  #type = "";
  #text = "";

  /** The events that these bytes complete. One that the end of the stream cuts off is none. */
  push(bytes) {
    let text = this.#decoder.decode(bytes, { stream: true });
    if (text && this.#isAfterCr) {
      this.#isAfterCr = false;
      if (text[0] === "\n") text = text.slice(1); // CR and LF came apart
    }
    if (text.endsWith("\r")) this.#isAfterCr = true;
    const lines = text.split(/\r\n|\r|\n/);
    if (lines.length === 1) {
      this.#line += text;
      return [];
    }
    lines[0] = this.#line + lines[0];
    this.#line = lines.pop();
    return lines.map((line) => this.#read(line)).filter(Boolean);
  }

  #read(line) {
    if (line === "") return this.#dispatched();
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (field === "data") this.#text += `${value}\n`;
    else if (field === "event") this.#type = value;
    else if (field === "id" && !value.includes("\0")) this.#idBuffer = value;
    else if (field === "retry" && /^[0-9]+$/.test(value)) this.retryMs = Number(value);
    return undefined;
  }

  #dispatched() {
    this.lastEventId = this.#idBuffer;
    const [data, type] = [this.#text.slice(0, -1), this.#type || "message"];
    const isNone = this.#text === "";
    this.#text = this.#type = "";
    return isNone ? undefined : { type, data, lastEventId: this.lastEventId };
  }
}

/** Why an attempt came to nothing, and what may be tried next. `error` is what to throw if nothing helps. */
class Trouble extends Error {
  constructor(kind, why, { error, retryAfterMs } = {}) {
    super(why);
    // refused: this way is closed. mute: open, and nothing comes. cut: it worked for a while. away: nobody answers now.
    // unopened: a socket that did not open. fault: an answer that makes no sense. interrupted: we let go ourselves.
    this.kind = kind;
    this.error = error;
    this.retryAfterMs = retryAfterMs;
  }
}

/** One attempt: a signal for its requests, and a watch that ends it when nothing comes in time. */
class Attempt {
  beganAt = performance.now();
  trouble = undefined;
  #controller = new AbortController();
  #timer;

  get signal() {
    return this.#controller.signal;
  }

  get lastedMs() {
    return performance.now() - this.beganAt;
  }

  stop(trouble) {
    this.trouble ??= trouble;
    this.end();
  }

  watch(ms, kind, why) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.stop(new Trouble(kind, why)), ms);
  }

  rest() {
    clearTimeout(this.#timer);
  }

  end() {
    this.rest();
    this.#controller.abort();
  }
}

/** What happens around us: the caller's signal, a tab that is hidden, a network that is back, a machine that slept. */
class World {
  #signal;
  #isHiddenPause;
  #attempt;
  #wakers = new Set();
  #unlisten = [];
  #ticking;

  constructor(signal, isHiddenPause) {
    this.#signal = signal;
    this.#isHiddenPause = isHiddenPause;
    this.#listen(signal, "abort", () => this.#interrupt("aborted"));
    this.#listen(globalThis, "online", () => this.#interrupt("the network is back"));
    this.#listen(globalThis.document, "visibilitychange", () => {
      if (this.#isHidden) this.#interrupt("the tab is hidden");
      else this.#wake();
    });
    let tickedAt = Date.now();
    this.#ticking = setInterval(() => {
      const lateMs = Date.now() - tickedAt - TICK_MS;
      tickedAt = Date.now();
      // Browsers slow the timers of hidden tabs down, which is no sleep.
      if (lateMs > SLEPT_MS && globalThis.document?.visibilityState !== "hidden") this.#interrupt("the machine slept");
    }, TICK_MS);
  }

  get isOffline() {
    return globalThis.navigator?.onLine === false;
  }

  get #isHidden() {
    return this.#isHiddenPause && globalThis.document?.visibilityState === "hidden";
  }

  /** Throws what the caller aborted with. */
  check() {
    if (this.#signal?.aborted) throw this.#signal.reason ?? new DOMException("This was aborted.", "AbortError");
  }

  attempt() {
    this.check();
    this.#attempt = new Attempt();
    return this.#attempt;
  }

  /** Resolves when somebody can see the tab. */
  async shown() {
    this.check();
    while (this.#isHidden) await this.sleep();
  }

  /** Resolves after `ms`, or earlier when something happened; without `ms` then alone. */
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

  close() {
    clearInterval(this.#ticking);
    this.#attempt?.end();
    for (const unlisten of this.#unlisten) unlisten();
  }

  #listen(target, name, heard) {
    if (!target?.addEventListener) return;
    target.addEventListener(name, heard);
    this.#unlisten.push(() => target.removeEventListener(name, heard));
  }

  #interrupt(why) {
    this.#attempt?.stop(new Trouble("interrupted", why));
    this.#wake();
  }

  #wake() {
    for (const wake of this.#wakers) wake();
  }
}

/** The way to the server: addresses, what shows who asks, and requests that are watched. */
class Line {
  #base;
  #key;
  #token;
  #fetch;

  constructor(base, key, token, fetch, timing) {
    this.#base = base;
    this.#key = key || undefined;
    this.#token = token || undefined;
    this.#fetch = fetch;
    this.timing = timing;
  }

  get canOpenSockets() {
    return this.#token !== undefined || this.#key === undefined;
  }

  forgetKey() {
    this.#key = undefined;
  }

  /** The address of a call. A token goes along where no header does: nothing else can carry it. */
  address(path, query = {}, isSocket = false) {
    const given = Object.entries(query).filter(([, value]) => value !== undefined);
    const parameters = new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
    if (this.#token && (isSocket || !this.#key)) parameters.set("token", this.#token);
    const address = `${this.#base}${path}${String(parameters) && `?${parameters}`}`;
    return isSocket ? new URL(address, globalThis.location?.href).href.replace(/^http/, "ws") : address;
  }

  /** An answer with a good status. Throws Trouble, TokentailError. */
  async ask(method, address, attempt, { headers = {}, body, key = this.#key } = {}) {
    let response;
    const shown = key ? { Authorization: `Bearer ${key}` } : {};
    try {
      const options = { method, headers: { ...headers, ...shown }, body, cache: "no-store", signal: attempt.signal };
      response = await this.#fetch(address, options);
    } catch (error) {
      throw attempt.trouble ?? new Trouble("away", "the connection failed", { error });
    }
    if (response.ok) return response;
    throw await refusalOf(response, attempt);
  }

  /** A call that can be repeated: what it answers, as soon as nothing passing is in its way. */
  async call(method, path, { query, headers, body, key, signal } = {}) {
    const { patienceMs, silentMs } = this.timing;
    const world = new World(signal, false);
    const until = performance.now() + patienceMs;
    try {
      for (let failures = 1; ; failures += 1) {
        const attempt = world.attempt();
        attempt.watch(silentMs, "away", "the server did not answer in time");
        try {
          const response = await this.ask(method, this.address(path, query), attempt, { headers, body, key });
          const text = await wholeText(response, attempt, silentMs);
          if (response.status === 204) return undefined;
          const isJson = response.headers.get("Content-Type")?.startsWith("application/json");
          if (isJson) return parseJson(text);
          if (path.endsWith("/text")) return text;
          throw notOurs(response);
        } catch (trouble) {
          world.check();
          if (!(trouble instanceof Trouble)) throw trouble;
          const pauseMs = trouble.kind === "interrupted" ? 0 : pauseAfter(trouble, failures);
          const isHopeless = trouble.kind === "refused" || (trouble.kind === "fault" && failures >= FAULTS);
          if (isHopeless || performance.now() + pauseMs > until) throw thrown(trouble);
          await world.sleep(pauseMs);
        } finally {
          attempt.end();
        }
      }
    } finally {
      world.close();
    }
  }
}

/** What is known of the way to the server: which transport got through, and when to try a better one again. */
class Road {
  rung = 0;
  tryUpAt = 0;
  #climbedAt = -Infinity;
  #pauseMs;
  #timing;

  constructor(timing) {
    this.#timing = timing;
    this.#pauseMs = timing.climbMs;
  }

  settle(rung) {
    // Back down soon after a climb: the way is as it was.
    const hasFailed = performance.now() - this.#climbedAt < 2 * this.#pauseMs;
    this.rung = rung;
    this.#pauseMs = hasFailed ? Math.min(this.#pauseMs * 2, this.#timing.longestClimbMs) : this.#timing.climbMs;
    this.#wait();
  }

  climbed(rung) {
    this.rung = rung;
    this.#climbedAt = performance.now();
    this.#wait();
  }

  climbFailed() {
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.#timing.longestClimbMs);
    this.#wait();
  }

  #wait() {
    this.tryUpAt = performance.now() + this.#pauseMs * between(1, 1.2);
  }
}

/** One job followed from a cursor to its end, by the transports of a ladder from `road.rung` down. */
class Following {
  #line;
  #jobId;
  #cursor;
  #withEvents;
  #lingerMs;
  #waitMs;
  #signal;
  #isHiddenPause;
  #onTraffic;
  #onTransport;
  #ladder;
  #road;
  #rung;
  #world;
  #advisedMs = 0;
  #retryMs = 1000;
  #failures = 0; // attempts in a row that brought nothing
  #faults = 0;
  #cuts = 0;
  #unopened = 0;
  #fall; // the last one, until something came on the lower rung
  #isToCheck = false; // a silent socket: is there anything that it did not bring?
  #probe;

  constructor(line, jobId, options, ladder, road) {
    const { cursor = "0", events = false, lingerMs, signal, pauseHidden = true, onTraffic, onTransport } = options;
    this.#line = line;
    this.#jobId = jobId;
    this.#cursor = String(cursor);
    this.#withEvents = events;
    this.#lingerMs = lingerMs || undefined;
    this.#waitMs = line.timing.waitMs;
    this.#signal = signal;
    this.#isHiddenPause = pauseHidden;
    this.#onTraffic = onTraffic;
    this.#onTransport = onTransport;
    this.#ladder = ladder;
    this.#road = road;
    this.#rung = road.rung;
  }

  async *steps() {
    const world = (this.#world = new World(this.#signal, this.#isHiddenPause));
    if (this.#rung > 0) this.#tell("learned before");
    try {
      for (;;) {
        await world.shown();
        this.#climb();
        const transport = this.#isToCheck ? "short" : this.#transport;
        const attempt = world.attempt();
        let pauseMs;
        try {
          for await (const body of this.#bodies(transport, attempt)) {
            world.check();
            this.#arrived(body);
            this.#cursor = body.cursor;
            yield { ...body, transport };
            if (body.done) return;
          }
          world.check();
          pauseMs = this.#ended(transport, attempt);
        } catch (trouble) {
          world.check();
          if (!(trouble instanceof Trouble)) throw trouble;
          pauseMs = this.#judge(trouble, transport, attempt);
        } finally {
          attempt.end();
        }
        await world.sleep(pauseMs);
      }
    } finally {
      this.#probe?.attempt.end();
      world.close();
    }
  }

  // -- what to do next -------------------------------------------------------------------------------------------------

  get #transport() {
    return this.#ladder[this.#rung];
  }

  #tell(why) {
    this.#onTransport?.(this.#transport, why);
  }

  #arrived(body) {
    this.#failures = this.#faults = this.#unopened = 0;
    const isNews = body.done || body.reset || newsOf(body).length > 0;
    if (this.#isToCheck) {
      this.#isToCheck = false;
      if (isNews && !body.done) this.#down("mute", "the WebSocket is mute");
    }
    const fall = this.#fall;
    if (fall === undefined) return;
    this.#fall = undefined;
    if (fall.kind === "away" && fall.hasFailedSince) {
      // Nothing was wrong with the transport: there was no server.
      this.#rung = fall.from;
      this.#tell("the server is back");
    } else {
      this.#road.settle(this.#rung);
    }
  }

  /** A transport that has ended by itself: how long to pause. */
  #ended(transport, attempt) {
    if (transport === "long" || transport === "short") return this.#advisedMs;
    return this.#judge(new Trouble("cut", "the stream ended early"), transport, attempt);
  }

  /** What becomes of the attempt's trouble: how long to pause before the next. Throws what nothing can change. */
  #judge(trouble, transport, attempt) {
    const { kind } = trouble;
    if (kind === "interrupted") return 0;
    if (kind === "silent") {
      this.#isToCheck = true;
      return 0;
    }
    if (this.#fall) this.#fall.hasFailedSince = true;
    this.#failures += 1;
    if (kind === "fault") this.#faults += 1;
    if (kind === "unopened") this.#unopened += 1;
    if (kind === "cut") this.#cuts = attempt.lastedMs < LIVED_MS ? this.#cuts + 1 : 0;
    const isHopeless = kind === "refused" || this.#faults >= FAULTS;
    const why = isHopeless ? trouble.message : this.#reasonToMove(trouble, transport, attempt);
    if (why && this.#down(kind, why)) return 0;
    if (isHopeless) throw thrown(trouble);
    if (kind !== "cut" || transport === "long" || transport === "short") return this.#backoff(trouble);
    // A stream may end because its process goes, with those of all others: not everybody comes again at once.
    return Math.min(this.#retryMs, MOST_BACKOFF_MS) * between(0.2, 1);
  }

  #reasonToMove(trouble, transport, attempt) {
    const { kind, message } = trouble;
    if (transport === "short") return undefined;
    if (transport === "long") {
      const neverWaits = attempt.lastedMs < LEAST_WAIT_MS && this.#failures > CUTS;
      return this.#isLongCut(trouble, attempt) || neverWaits ? "long polls are cut" : undefined;
    }
    const isReason = {
      mute: true,
      unopened: this.#unopened >= UNOPENED,
      away: this.#failures >= CUTS,
      cut: this.#cuts >= CUTS,
    };
    return isReason[kind] ? (kind === "cut" ? "cut too often" : message) : undefined;
  }

  /** Whether even the shortest wait is cut off; one that is longer becomes shorter. */
  #isLongCut({ retryAfterMs }, { lastedMs }) {
    if (lastedMs < LEAST_WAIT_MS || retryAfterMs !== undefined) return false; // it failed, but not by waiting
    if (this.#waitMs <= LEAST_WAIT_MS) return true;
    this.#waitMs = Math.max(Math.min(this.#waitMs / 2, lastedMs * 0.7), LEAST_WAIT_MS);
    return false;
  }

  #backoff(trouble) {
    return this.#world.isOffline ? OFFLINE_MS : pauseAfter(trouble, this.#failures);
  }

  #down(kind, why) {
    if (this.#rung + 1 >= this.#ladder.length) return false;
    this.#fall = { kind, from: this.#rung, hasFailedSince: false };
    this.#rung += 1;
    this.#cuts = this.#failures = this.#faults = this.#unopened = 0;
    this.#tell(why);
    return true;
  }

  #climb() {
    if (this.#probe?.hasPassed !== undefined) {
      if (this.#probe.hasPassed) this.#up();
      else this.#road.climbFailed();
      this.#probe = undefined;
    } else if (this.#rung > 0 && !this.#probe && !this.#fall && performance.now() >= this.#road.tryUpAt) {
      const above = this.#ladder[this.#rung - 1];
      if (above === "long") this.#up();
      else this.#startProbe(above);
    }
  }

  #up() {
    this.#rung -= 1;
    this.#waitMs = this.#transport === "long" ? this.#line.timing.waitMs : this.#waitMs;
    this.#road.climbed(this.#rung);
    this.#tell("tried again");
  }

  /** Open the better transport beside the one in use, to see whether it speaks; nothing that it says is used. */
  #startProbe(transport) {
    const attempt = new Attempt();
    const probe = (this.#probe = { attempt, hasPassed: undefined });
    const heard = transport === "sse" ? this.#openedStream(attempt) : this.#openedSocket(attempt);
    heard.then(
      () => (probe.hasPassed = true),
      () => (probe.hasPassed = false),
    ).then(() => attempt.end());
  }

  async #openedStream(attempt) {
    for await (const _ of this.#chunks(await this.#stream(attempt), attempt)) return;
    throw new Trouble("mute", "the stream said nothing");
  }

  async #openedSocket(attempt) {
    const socket = this.#socket(attempt);
    try {
      await new Promise((resolve, reject) => {
        socket.onopen = resolve;
        socket.onclose = reject;
        attempt.signal.addEventListener("abort", reject);
      });
    } finally {
      socket.close();
    }
  }

  // -- the transports --------------------------------------------------------------------------------------------------

  #bodies(transport, attempt) {
    if (transport === "sse") return this.#sse(attempt);
    if (transport === "websocket") return this.#websocket(attempt);
    return this.#poll(transport, attempt);
  }

  async *#poll(transport, attempt) {
    const { silentMs } = this.#line.timing;
    const isLong = transport === "long";
    const waiting = isLong ? { wait: this.#waitMs / 1000, linger_ms: this.#lingerMs } : {};
    const kind = this.#withEvents ? "events" : "tokens";
    const address = this.#line.address(`${jobPath(this.#jobId)}/${kind}`, { cursor: this.#cursor, ...waiting });
    attempt.watch((isLong ? this.#waitMs : 0) + silentMs, "cut", "the poll was not answered in time");
    this.#count(transport, 1, 0);
    const response = await this.#line.ask("GET", address, attempt, { headers: { Accept: "application/json" } });
    if (!response.headers.get("Content-Type")?.startsWith("application/json")) throw notOurs(response);
    const text = await wholeText(response, attempt, silentMs, (bytes) => this.#count(transport, 0, bytes));
    const body = this.#checked(text);
    const isNews = newsOf(body).length > 0 || body.reset;
    const leastMs = isNews && isLong ? 0 : LEAST_POLL_MS;
    const advisedMs = Number(body.poll_after_ms) || 0;
    // More was there already: it is read at once.
    const isBehind = isNews && advisedMs === 0;
    this.#advisedMs = isBehind ? 0 : Math.min(Math.max(advisedMs, leastMs), MOST_POLL_MS) * between(1, 1.1);
    yield body;
  }

  async *#sse(attempt) {
    const parser = new EventParser();
    for await (const chunk of this.#chunks(await this.#stream(attempt), attempt)) {
      for (const event of parser.push(chunk)) yield this.#checked(event.data);
      this.#retryMs = parser.retryMs ?? this.#retryMs;
    }
  }

  async #stream(attempt) {
    const asked = { cursor: this.#cursor, events: this.#withEvents ? 1 : undefined, linger_ms: this.#lingerMs };
    const address = this.#line.address(`${jobPath(this.#jobId)}/stream`, asked);
    attempt.watch(this.#line.timing.muteMs, "mute", "the stream is mute");
    this.#count("sse", 1, 0);
    const response = await this.#line.ask("GET", address, attempt, { headers: { Accept: "text/event-stream" } });
    if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) return response;
    throw new Trouble("refused", "the answer is no stream", { error: notOurs(response).error });
  }

  async *#chunks(response, attempt) {
    const { silentMs } = this.#line.timing;
    for await (const chunk of chunksOf(response, attempt, silentMs, "mute", "the stream has gone mute")) {
      this.#count("sse", 0, chunk.byteLength);
      yield chunk;
    }
  }

  async *#websocket(attempt) {
    const socket = this.#socket(attempt);
    const received = [];
    let wake = () => {};
    let isOpen = false;
    let closed;
    const heard = () => wake();
    socket.onopen = () => (isOpen = true) && heard();
    socket.onmessage = ({ data }) => received.push(data) && heard();
    socket.onclose = (event) => (closed = event) && heard();
    attempt.signal.addEventListener("abort", heard);
    try {
      for (;;) {
        while (received.length > 0) {
          const text = received.shift();
          this.#count("websocket", 0, new TextEncoder().encode(text).byteLength);
          yield this.#checked(text);
        }
        if (attempt.trouble) throw attempt.trouble;
        if (closed) throw closingOf(closed, isOpen);
        // A browser does not show pings, so a socket that is silent for long may be either.
        if (isOpen) attempt.watch(this.#line.timing.silentMs, "silent", "the WebSocket is silent");
        const { promise, resolve } = withResolver();
        wake = resolve;
        await promise;
        if (isOpen) attempt.rest();
      }
    } finally {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
  }

  #socket(attempt) {
    if (!globalThis.WebSocket) throw new Trouble("refused", "there are no WebSockets here");
    if (!this.#line.canOpenSockets) throw new Trouble("refused", "a WebSocket cannot send a key");
    const asked = { cursor: this.#cursor, events: this.#withEvents ? 1 : undefined, linger_ms: this.#lingerMs };
    attempt.watch(this.#line.timing.muteMs, "unopened", "the WebSocket did not open");
    this.#count("websocket", 1, 0);
    return new WebSocket(this.#line.address(`${jobPath(this.#jobId)}/ws`, asked, true));
  }

  #count(transport, requests, bytes) {
    this.#onTraffic?.({ transport, requests, bytes });
  }

  #checked(text) {
    const body = parseJson(text);
    const isOurs = body?.job_id === this.#jobId && typeof body.cursor === "string" && Array.isArray(newsOf(body));
    if (isOurs) return body;
    throw new Trouble("fault", "the answer is no poll's body");
  }
}

// -- answers ------------------------------------------------------------------------------------------------------------

function jobPath(jobId) {
  return `/v1/jobs/${encodeURIComponent(jobId)}`;
}

function newsOf(body) {
  return body.tokens ?? body.events;
}

function parseJson(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Trouble("cut", "the answer was cut off");
  }
}

/** The parts of a body as they come; each has to come within `silentMs`, but for the first, which is watched already. */
async function* chunksOf(response, attempt, silentMs, kind, why) {
  const reader = response.body.getReader();
  try {
    for (;;) {
      let part;
      try {
        part = await reader.read();
      } catch (error) {
        throw attempt.trouble ?? new Trouble("cut", "the connection was cut", { error });
      }
      attempt.rest(); // while the caller is busy, the silence is his
      if (part.done) return;
      yield part.value;
      attempt.watch(silentMs, kind, why);
    }
  } finally {
    attempt.rest();
    reader.cancel().catch(() => {}); // it is broken already
  }
}

async function wholeText(response, attempt, silentMs, count = () => {}) {
  if (!response.body) return "";
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of chunksOf(response, attempt, silentMs, "cut", "the answer broke off")) {
    count(chunk.byteLength);
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** What a status that is no success means. Only our own server's word that there is no such job is believed. */
async function refusalOf(response, attempt) {
  const { status } = response;
  const isOurs = response.headers.get("Content-Type")?.startsWith("application/problem+json");
  const retryAfterMs = retryAfterOf(response.headers.get("Retry-After"));
  const problem = isOurs ? parseJson(await wholeText(response, attempt, 10000)) : {};
  const detail = problem.detail ?? `The answer was HTTP ${status}.`;
  const error = new TokentailError(status, problem.type ?? "about:blank", detail, retryAfterMs);
  if (PASSING.has(status)) return new Trouble("away", `HTTP ${status}`, { error, retryAfterMs });
  if (status >= 500 && status !== 501) return new Trouble("fault", `HTTP ${status}`, { error, retryAfterMs });
  return isOurs ? error : new Trouble("refused", `HTTP ${status}`, { error, retryAfterMs });
}

function notOurs(response) {
  const detail = "The answer is not a Tokentail server's; something on the way gave it.";
  return new Trouble("fault", detail, { error: new TokentailError(response.status, "about:blank", detail) });
}

/** What a socket's end means: codes from 4000 on are the status that a poll would have got. */
function closingOf({ code, reason }, wasOpen) {
  if (!wasOpen) return new Trouble("unopened", "the WebSocket did not open");
  const status = code - 4000;
  if (status < 400 || status > 599) return new Trouble("cut", reason || "the connection was cut");
  const error = new TokentailError(status, "about:blank", reason);
  return PASSING.has(status) ? new Trouble("away", reason, { error }) : error;
}

function thrown(trouble) {
  if (trouble.error instanceof TokentailError) return trouble.error;
  return new TokentailError(0, "about:blank", trouble.message, trouble.retryAfterMs);
}

// -- pauses -------------------------------------------------------------------------------------------------------------

function between(low, high) {
  return low + Math.random() * (high - low);
}

function pauseAfter({ retryAfterMs }, failures) {
  if (retryAfterMs !== undefined) return Math.min(retryAfterMs, MOST_RETRY_AFTER_MS) * between(1, 1.2);
  return Math.min(250 * 2 ** Math.min(failures, 10), MOST_BACKOFF_MS) * between(0.5, 1);
}

/** Seconds or a date (RFC 9110, 10.2.3), as milliseconds from now. */
function retryAfterOf(text) {
  if (!text) return undefined;
  const ms = /^\s*[0-9]+\s*$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}

function withResolver() {
  let resolve;
  const promise = new Promise((settle) => (resolve = settle));
  return { promise, resolve };
}

/** `crypto.randomUUID` is missing in pages that come by plain HTTP from another machine. */
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
