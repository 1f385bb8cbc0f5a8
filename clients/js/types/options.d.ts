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
  /** A stream is mute when nothing more arrives for this time. A poll has its wait and this time to end: 25000. */
  silentMs: number;
  /** How long a long poll may wait: 20000. The client shortens it where a proxy cuts long polls. */
  waitMs: number;
  /** The time from a downgrade to the first try of a better transport: 30000. It doubles when the try fails. */
  climbMs: number;
  /** The maximum to which `climbMs` doubles: 600000. */
  longestClimbMs: number;
  /** How long calls other than `follow` are retried: 60000. */
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
  /** Called for each request and for each piece of a body. */
  onTraffic?: (traffic: Traffic) => void;
  /** Called when the transport changes, with the reason. */
  onTransport?: (transport: Transport, why: string) => void;
}

export interface CallOptions {
  signal?: AbortSignal;
}
