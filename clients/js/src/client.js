import { TRANSPORTS_OF, Follower } from "./follower.js";
import { Connection, jobPath } from "./http.js";
import { DEFAULT_TIMING } from "./timing.js";
import { TransportHealth } from "./transport_health.js";

// `fetch` is looked up at each call, because a page may replace it. Browsers refuse to run it as our method.
const globalFetch = (...given) => globalThis.fetch(...given);

/** A client of one server, with one set of credentials. */
export class Tokentail {
  #connection;
  #health = {};
  #url;

  constructor({ url = "", key, token, fetch, timing } = {}) {
    const timings = { ...DEFAULT_TIMING, ...timing };
    this.#url = url;
    this.#connection = new Connection(url.replace(/\/+$/, ""), key, token, fetch ?? globalFetch, timings);
  }

  /** Submit a request, such as `{prompt}` or `{messages}`; resolves to the job. Retries do not make a second job. */
  submit(request, { idempotencyKey = randomKey(), signal } = {}) {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": idempotencyKey };
    return this.#connection.call("POST", "/v1/jobs", { headers, body: JSON.stringify(request), signal });
  }

  /** An iterator of the job's steps from `cursor` on; it ends after the step with `done`. */
  follow(jobId, options = {}) {
    const { transport = "auto" } = options;
    if (!Object.keys(TRANSPORTS_OF).includes(transport)) throw new TypeError(`There is no transport "${transport}".`);
    const health = (this.#health[transport] ??= this.#newHealth(transport));
    return new Follower(this.#connection, String(jobId), options, TRANSPORTS_OF[transport], health).steps();
  }

  #newHealth(transport) {
    const name = `${this.#url} ${transport}`;
    return new TransportHealth(this.#connection.timing, name, TRANSPORTS_OF[transport].length);
  }

  cancel(jobId, { signal } = {}) {
    return this.#connection.call("POST", `${jobPath(jobId)}/cancel`, { signal });
  }

  async delete(jobId, { signal } = {}) {
    await this.#connection.call("DELETE", jobPath(jobId), { signal });
  }

  job(jobId, { signal } = {}) {
    return this.#connection.call("GET", jobPath(jobId), { signal });
  }

  /** One page of the caller's jobs, newest first; of a user, with a status, of a model, with metadata, since a time. */
  jobs({ limit, olderThan, user, status, model, metadata = {}, since, signal } = {}) {
    const wanted = Object.entries(metadata).map(([name, value]) => [`metadata.${name}`, value]);
    const query = { limit, older_than: olderThan, user, status, model, since, ...Object.fromEntries(wanted) };
    return this.#connection.call("GET", "/v1/jobs", { query, signal });
  }

  /** What was asked, in the fields of a submission. */
  request(jobId, { signal } = {}) {
    return this.#connection.call("GET", `${jobPath(jobId)}/request`, { signal });
  }

  /** Erase all jobs of one of the application's users; resolves to how many jobs that were. */
  async deleteUser(user, { tombstones = false, signal } = {}) {
    const query = { user, tombstones: tombstones ? 1 : undefined };
    const total = { deleted: 0, cancelled: 0 };
    for (let done = false; !done; ) {
      const step = await this.#connection.call("DELETE", "/v1/jobs", { query, signal });
      total.deleted += step.deleted;
      total.cancelled += step.cancelled;
      ({ done } = step);
    }
    return total;
  }

  /** The text of the current generation so far. */
  text(jobId, { signal } = {}) {
    return this.#connection.call("GET", `${jobPath(jobId)}/text`, { signal });
  }

  models({ signal } = {}) {
    return this.#connection.call("GET", "/v1/models", { signal });
  }

  /** A link with which others can read this job, and the read token in it. */
  share(jobId, { expiresInS, signal } = {}) {
    const headers = { "Content-Type": "application/json" };
    const body = JSON.stringify({ expires_in_s: expiresInS }); // which leaves out what is undefined
    return this.#connection.call("POST", `${jobPath(jobId)}/share`, { headers, body, signal });
  }

  /** Refuse every link to this job that was made so far. */
  async revokeShares(jobId, { signal } = {}) {
    await this.#connection.call("DELETE", `${jobPath(jobId)}/share`, { signal });
  }

  /** Exchange a key for a session's cookie; from then on this client sends no key. */
  async openSession(key, { signal } = {}) {
    await this.#connection.call("POST", "/v1/session", { key, signal });
    this.#connection.forgetKey();
  }

  async closeSession({ signal } = {}) {
    await this.#connection.call("DELETE", "/v1/session", { signal });
  }
}

/** A random key. `crypto.randomUUID` is missing in pages of plain HTTP, and `crypto` in some runtimes. */
function randomKey() {
  const bytes = new Uint8Array(16);
  if (globalThis.crypto?.getRandomValues) globalThis.crypto.getRandomValues(bytes);
  else bytes.forEach((_, i) => (bytes[i] = 256 * Math.random())); // nobody gains by guessing one
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
