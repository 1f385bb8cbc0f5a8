import { SharedPoll } from "./shared_poll.js";

const FEWEST = 3;

/**
 * The followers in this page that read from one server with the same credentials. A browser opens six connections to a
 * server over HTTP/1.1, and streams would take them all. So when there are three followers, all read by one long poll,
 * and the last one that is left reads by itself again.
 */
export class Crowd {
  #connection;
  #members = new Set();
  #polls = [];
  #isSharing = false;
  #isRefused = false;

  constructor(connection) {
    this.#connection = connection;
  }

  /** Whether this follower, which would hold a connection, is to read by `bodies`. */
  takes(member) {
    this.#members.add(member);
    this.#look(member);
    return this.#isSharing && !this.#isRefused;
  }

  /** This follower holds no connection any more. */
  leave(member) {
    this.#members.delete(member);
    this.#look();
  }

  /** The bodies of one job by a poll that is shared; see SharedPoll. */
  bodies(wanted, attempt) {
    let poll = this.#polls.find(({ isFull }) => !isFull);
    if (!poll) this.#polls.push((poll = new SharedPoll(this.#connection, () => (this.#isRefused = true))));
    return poll.bodies(wanted, attempt);
  }

  #look(newcomer) {
    const isSharing = this.#members.size >= (this.#isSharing ? 2 : FEWEST);
    if (isSharing === this.#isSharing) return;
    this.#isSharing = isSharing;
    this.#isRefused = false;
    for (const member of this.#members) if (member !== newcomer) member.interrupt("the number of followers has changed");
  }
}

const crowds = new WeakMap(); // by the function that fetches: crowds by server and credentials

/** The crowd of this connection's followers; undefined where each follower may hold a connection. */
export function crowdOf(connection) {
  if (!connection.canPollMany || !hasFewConnections() || isMultiplexed(connection)) return undefined;
  if (!crowds.has(connection.fetch)) crowds.set(connection.fetch, new Map());
  const named = crowds.get(connection.fetch);
  if (!named.has(connection.name)) named.set(connection.name, new Crowd(connection.copy()));
  return named.get(connection.name);
}

/** Whether the page came by HTTP/2 or HTTP/3 from this server: one connection has room for all streams then. */
function isMultiplexed({ server }) {
  const isOwn = server === "" || server === globalThis.location?.origin;
  return isOwn && /^h[23]/.test(globalThis.performance.getEntriesByType?.("navigation")?.[0]?.nextHopProtocol);
}

/** Browsers and React Native open few connections to a server; Node and Deno open as many as are needed. */
function hasFewConnections() {
  return Boolean(globalThis.document || globalThis.WorkerGlobalScope || globalThis.navigator?.product === "ReactNative");
}
