import type { Transport } from "./steps.js";

export interface TokentailOptions {
  /** The server, such as `https://tokens.example`; `""`, the default, is the page's own origin. */
  url?: string;
  /** A bearer key. Pages in browsers should open a session with it, or have no key. */
  key?: string;
  /** The read token of a share link. It allows to read one job. */
  token?: string;
  /** Used in place of the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  timing?: Partial<Timing>;
}

/** Times in milliseconds. The defaults suit the server's heartbeat, which comes every 10 s. */
export interface Timing {
  /** A stream is mute when nothing arrives for this time after the request: 5000. */
  muteMs: number;
  /** A stream that brings nothing for this time gets a long poll beside it: 500. */
  besideMs: number;
  /** How long a WebSocket may take to open: 1000. */
  openMs: number;
  /** A stream is mute when nothing more arrives for this time: 12000. */
  silentMs: number;
  /** How long a long poll may wait: 20000. The client shortens it where a proxy cuts long polls. */
  waitMs: number;
  /** How much later than its wait a poll may be answered: 5000. */
  lateMs: number;
  /** How long other calls may take: 25000. */
  answerMs: number;
  /** The time from a downgrade to the first try of a better transport: 30000. It doubles when the try fails. */
  climbMs: number;
  /** The maximum to which `climbMs` doubles: 600000. */
  longestClimbMs: number;
  /** How long calls are retried, and how long `follow` takes answers of something else for an outage: 60000. */
  patienceMs: number;
}

export interface Traffic {
  transport: Transport;
  /** Requests, streams or sockets that were started since the last call. */
  requests: number;
  /** Bytes of bodies, received since the last call. Headers are not counted. */
  bytes: number;
}

export interface FollowOptions {
  /** Where to start: a step's `cursor`, or `"0"`, the beginning of the log and the default. */
  cursor?: string;
  /**
   * `"auto"`, the default, starts with `"sse"` and changes to `"long"` and `"short"` and back as the network demands.
   * The others keep to one transport, except that a WebSocket which cannot be opened is replaced as by `"auto"`.
   * In browsers, three and more followers by `"auto"` and `"long"` share one long poll.
   */
  transport?: "auto" | Transport;
  /** Steps with `events`, everything in the log, in place of `tokens`. */
  events?: boolean;
  /** How long the server collects more after the first token, up to 5000: fewer and larger steps. */
  lingerMs?: number;
  /** Ends the iteration at once: it throws the signal's reason, which is an `AbortError` unless you gave another. */
  signal?: AbortSignal;
  /** Whether to close the connection while the tab is hidden, and catch up when it is visible: true. */
  pauseHidden?: boolean;
  /** Called for each request and for each piece of a body; of a request for many jobs, for one of their followers. */
  onTraffic?: (traffic: Traffic) => void;
  /** Called when the transport changes, with the reason. */
  onTransport?: (transport: Transport, why: string) => void;
  /** Called with the reason when nothing arrives because of an outage, and without one when something arrives again. */
  onTrouble?: (why?: string) => void;
}

export interface CallOptions {
  signal?: AbortSignal;
}
