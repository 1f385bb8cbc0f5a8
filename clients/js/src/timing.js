export const DEFAULT_TIMING = {
  muteMs: 5000, // a stream that brought nothing since it was requested: the server's first event comes at once
  besideMs: 500, // a stream that brought nothing for so long gets a long poll beside it
  openMs: 1000, // how long a WebSocket may take to open
  silentMs: 12000, // a stream that brought something before: the server sends a heartbeat every 10 s
  waitMs: 20000, // how long a long poll may wait
  lateMs: 5000, // how much later than that a poll may be answered
  answerMs: 25000, // how long other calls may take
  climbMs: 30000, // after a downgrade, until the first upgrade is tried; each upgrade that fails doubles it
  longestClimbMs: 600000,
  patienceMs: 60000, // how long calls are retried, and how long `follow` takes answers of somebody else for an outage
};
export const LEAST_WAIT_MS = 1000; // of a long poll
export const MOST_FAULTS = 5; // responses in a row that no Tokentail server should give
export const MOST_BACKOFF_MS = 10000;
const MOST_FOREIGN_PAUSE_MS = 4000; // these tries do not reach our server, and end after `patienceMs`
const MOST_RETRY_AFTER_MS = 60000;

/** A random number, so that clients which failed together do not retry together. */
export function randomBetween(low, high) {
  return low + Math.random() * (high - low);
}

/** How long to pause after the given number of failures in a row. The server's Retry-After has precedence. */
export function retryPauseMs({ retryAfterMs, kind }, failures) {
  if (retryAfterMs !== undefined) return Math.min(retryAfterMs, MOST_RETRY_AFTER_MS) * randomBetween(1, 1.2);
  const most = kind === "foreign" ? MOST_FOREIGN_PAUSE_MS : MOST_BACKOFF_MS;
  return Math.min(250 * 2 ** Math.min(failures, 10), most) * randomBetween(0.5, 1);
}

/** A Retry-After header, which holds seconds or a date (RFC 9110, 10.2.3), as milliseconds from now. */
export function parseRetryAfter(text) {
  if (!text) return undefined;
  const ms = /^\s*[0-9]+\s*$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(ms, 0);
}
