const TEMPORARY_STATUSES = new Set([408, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524, 530]);
const ABSENT = new Set([...TEMPORARY_STATUSES, 500]); // statuses of proxies that cannot reach the server
const FROM_OTHERS = "from something on the way, not from a Tokentail server.";

/** An error that no retry would change. */
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

/** Why an attempt failed while another attempt or transport may succeed. `error` is thrown if none does. */
export class TransportError extends Error {
  constructor(kind, message, { error, retryAfterMs } = {}) {
    super(message);
    // refused: the transport cannot be used. mute: it is open, and nothing arrives. cut: it broke after it had worked.
    // silent: an open WebSocket brings nothing, which may be normal. unopened: a WebSocket did not open.
    // away: the server cannot be reached now. foreign: something else answered. fault: our server's response makes no
    // sense. interrupted: the client ended it.
    this.kind = kind;
    this.error = error;
    this.retryAfterMs = retryAfterMs;
  }

  /** The error to throw when nothing helps. */
  get final() {
    if (this.error instanceof TokentailError) return this.error;
    return new TokentailError(0, "about:blank", this.message, this.retryAfterMs);
  }
}

/** The error for a failing status of our server, with its problem document. */
export function statusError(status, problem, retryAfterMs) {
  const detail = problem?.detail ?? `The answer was HTTP ${status}.`;
  const error = new TokentailError(status, problem?.type ?? "about:blank", detail, retryAfterMs);
  if (!TEMPORARY_STATUSES.has(status) && (status < 500 || status === 501)) return error;
  const kind = TEMPORARY_STATUSES.has(status) ? "away" : "fault";
  return new TransportError(kind, `HTTP ${status}`, { error, retryAfterMs });
}

/** The error for a closed WebSocket: codes from 4000 on are the status that a poll would have received. */
export function closeError({ code, reason }, wasOpen) {
  if (!wasOpen) return new TransportError("unopened", "the WebSocket did not open");
  const status = code - 4000;
  if (status < 400 || status > 599) return new TransportError("cut", reason || "the connection was cut");
  const error = new TokentailError(status, "about:blank", reason);
  return TEMPORARY_STATUSES.has(status) ? new TransportError("away", reason, { error }) : error;
}

/** The error for a response that no Tokentail server gave: a proxy, a firewall, a login page. */
export function foreignResponse({ status, redirected, url }, retryAfterMs) {
  const whence = redirected ? ` after a redirect to ${new URL(url).origin}` : "";
  const detail = `HTTP ${status}${whence} ${FROM_OTHERS}`;
  const error = new TokentailError(status, "about:blank", detail, retryAfterMs);
  return new TransportError(ABSENT.has(status) ? "away" : "foreign", detail, { error, retryAfterMs });
}

/** The error for a redirect to an address that cannot be read, such as another site's login page. */
export function deadRedirect() {
  const detail = "Something on the way redirects to an address that cannot be read, as a login page does.";
  return new TransportError("foreign", detail, { error: new TokentailError(0, "about:blank", detail) });
}

/** The error of an abort whose signal has no reason, in the place of DOMException, which some runtimes lack. */
export function abortError() {
  return Object.assign(new Error("This was aborted."), { name: "AbortError" });
}
