import type { Job, JobFilter, SubmittedJob } from "./job.js";
import type { CallOptions, FollowOptions, TokentailOptions } from "./options.js";
import type { GenerationRequest } from "./request.js";
import type { EventStep, TokenStep } from "./steps.js";

/** An error that no retry would change. `status` is the HTTP status, or 0 when there was no response. */
export class TokentailError extends Error {
  constructor(status: number, type: string, detail: string, retryAfterMs?: number);
  readonly status: number;
  /** The type of the problem document, such as `urn:tokentail:problem:job-not-found`. */
  readonly type: string;
  readonly detail: string;
  readonly retryAfterMs: number | undefined;
}

/** A client of one server. Every method throws TokentailError, or the reason of a signal that was aborted. */
export class Tokentail {
  constructor(options?: TokentailOptions);

  /** Submit a request. Retries do not make a second job. */
  submit(request: GenerationRequest, options?: CallOptions & { idempotencyKey?: string }): Promise<SubmittedJob>;

  /** Iterate over the job's steps; the iteration ends after the step with `done`. */
  follow(jobId: string, options: FollowOptions & { events: true }): AsyncGenerator<EventStep, void, undefined>;
  follow(jobId: string, options?: FollowOptions & { events?: false }): AsyncGenerator<TokenStep, void, undefined>;
  follow(jobId: string, options?: FollowOptions): AsyncGenerator<TokenStep | EventStep, void, undefined>;

  /** Stop a queued or running job. A job that has ended stays as it is. */
  cancel(jobId: string, options?: CallOptions): Promise<Job>;

  /** Stop the job and erase its content. */
  delete(jobId: string, options?: CallOptions): Promise<void>;

  job(jobId: string, options?: CallOptions): Promise<Job>;

  /** One page of the caller's jobs, newest first: all of them, or those for which all that is asked holds. */
  jobs(options?: CallOptions & JobFilter & { limit?: number; olderThan?: string }): Promise<{
    jobs: Job[];
    next: string | null;
  }>;

  /** What was asked, in the fields of a submission and with the model's full name. */
  request(jobId: string, options?: CallOptions): Promise<GenerationRequest>;

  /**
   * Erase all jobs of one of the application's users; those that run are cancelled. With `tombstones`, nothing is left
   * that says that the jobs existed.
   */
  deleteUser(
    user: string,
    options?: CallOptions & { tombstones?: boolean },
  ): Promise<{ deleted: number; cancelled: number }>;

  /** The text of the current generation so far. */
  text(jobId: string, options?: CallOptions): Promise<string>;

  models(
    options?: CallOptions,
  ): Promise<{ object: "list"; data: Array<{ id: string; object: "model"; owned_by: string }>; default: string | null }>;

  /**
   * A link with which others can read this job. `token` is in the link; it is null where the server has no keys.
   * `expiresInS` is its life in seconds: 60 to 604800, a week, which is the default.
   */
  share(
    jobId: string,
    options?: CallOptions & { expiresInS?: number },
  ): Promise<{ token: string | null; expires_at: string | null; link: string }>;

  /** Refuse every link to this job that was made so far. */
  revokeShares(jobId: string, options?: CallOptions): Promise<void>;

  /** Exchange a key for a session's cookie. After that this client sends no key. */
  openSession(key: string, options?: CallOptions): Promise<void>;

  closeSession(options?: CallOptions): Promise<void>;
}

/** Keep a job's id in the page's address, where a reload finds it; `null` removes it. Returns its argument. */
export function remember<Id extends string | null>(jobId: Id): Id;

/** The job's id in the page's address, and the read token if the address is a share link. */
export function recall(): { job: string | undefined; token: string | undefined };

/** One event of an event stream. */
export interface ServerSentEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/** Parses Server-Sent Events from bytes that may be cut anywhere, by the rules of WHATWG HTML. */
export class EventParser {
  readonly lastEventId: string;
  readonly retryMs: number | undefined;
  /** `mostBytes` limits the size of an event; 8 MiB by default. */
  constructor(mostBytes?: number);
  /** The events that these bytes complete. Throws a TokentailError for an event that is too large. */
  push(bytes: Uint8Array): ServerSentEvent[];
}
