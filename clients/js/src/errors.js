const TEMPORARY_STATUSES = new Set([408, 425, 429, 502, 503, 504, 520, 521, 522, 523, 524, 530]);

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
    // away: the server cannot be reached now. fault: the response makes no sense. interrupted: the client ended it.
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

/** The error for a failing status. `problem` is our server's problem document; a proxy's response has none. */
export function statusError(status, problem, retryAfterMs) {
  const detail = problem?.detail ?? `The answer was HTTP ${status}.`;
  const error = new TokentailError(status, problem?.type ?? "about:blank", detail, retryAfterMs);
  const failed = (kind) => new TransportError(kind, `HTTP ${status}`, { error, retryAfterMs });
  if (TEMPORARY_STATUSES.has(status)) return failed("away");
  if (status >= 500 && status !== 501) return failed("fault");
  return problem ? error : failed("refused"); // only our server knows that a job does not exist
}

/** The error for a closed WebSocket: codes from 4000 on are the status that a poll would have received. */
export function closeError({ code, reason }, wasOpen) {
  if (!wasOpen) return new TransportError("unopened", "the WebSocket did not open");
  const status = code - 4000;
  if (status < 400 || status > 599) return new TransportError("cut", reason || "the connection was cut");
  const error = new TokentailError(status, "about:blank", reason);
  return TEMPORARY_STATUSES.has(status) ? new TransportError("away", reason, { error }) : error;
}

/** The error for a response that something between client and server made. */
export function foreignResponse({ status }) {
  const detail = "The answer is not a Tokentail server's; something on the way gave it.";
  return new TransportError("fault", detail, { error: new TokentailError(status, "about:blank", detail) });
}
