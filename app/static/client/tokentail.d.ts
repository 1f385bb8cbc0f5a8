/** How an answer came. `auto` begins with `sse` and moves to `long`, then to `short`, and up again. */
export type Transport = "sse" | "websocket" | "long" | "short";

export type Status = "queued" | "running" | "completed" | "failed" | "cancelled";

export interface TokentailOptions {
  /** The server, such as `https://tokens.example`; `""`, the default, is the page's own origin. */
  url?: string;
  /** A bearer key. A browser's pages better open a session with it, or hold none. */
  key?: string;
  /** The read token of a share link; with it one job can be read. */
  token?: string;
  /** Used in place of the global `fetch`. */
  fetch?: typeof globalThis.fetch;
  timing?: Partial<Timing>;
}

/** What is waited for, in milliseconds. The defaults suit the server's heartbeat of 10 s. */
export interface Timing {
  /** A stream that has said nothing for so long since it was asked for is mute: 5000. */
  muteMs: number;
  /** The same in mid-stream, and for a poll beyond its wait: 25000. */
  silentMs: number;
  /** How long a long poll may wait: 20000. It becomes shorter where something on the way cuts it. */
  waitMs: number;
  /** After a move down, until a better transport is tried again: 30000. Doubles each time that fails. */
  climbMs: number;
  /** The longest that grows to: 600000. */
  longestClimbMs: number;
  /** For how long calls other than `follow` are tried again: 60000. */
  patienceMs: number;
}

export interface Message {
  role: "system" | "user" | "assistant" | "tool";
  content:
    | string
    | null
    | Array<{ type: "text"; text: string } | { type: "image_url"; image_url: { url: string; detail?: string } }>;
  tool_calls?: unknown[];
  tool_call_id?: string;
}

/** The body of `POST /v1/jobs`; docs/protocol.md describes each field. */
export interface GenerationRequest {
  prompt?: string;
  messages?: Message[];
  model?: string;
  max_tokens?: number;
  temperature?: number;
  top_p?: number;
  stop?: string | string[];
  seed?: number;
  tools?: unknown[];
  tool_choice?: unknown;
  response_format?: unknown;
  reasoning_effort?: "none" | "minimal" | "low" | "medium" | "high";
  extra?: Record<string, unknown>;
  timeouts?: { first_token_s?: number; idle_s?: number; total_s?: number };
  metadata?: Record<string, string>;
}

export interface Usage {
  input_tokens: number | null;
  output_tokens: number | null;
  reasoning_tokens: number | null;
  cached_tokens: number | null;
}

/** Why a job failed. */
export interface Failure {
  type: string;
  message: string;
  is_retryable?: boolean;
  provider_status?: number;
  provider_code?: string;
}

export interface Outcome {
  finish_reason: string | null;
  usage: Usage | null;
  error: Failure | null;
}

export interface Job extends Outcome {
  id: string;
  status: Status;
  model: string;
  queue_position: number | null;
  waits_for: "slot" | "worker" | "share" | null;
  attempts: number;
  token_count: number;
  time_to_first_token_ms: number | null;
  provider_reason: string | null;
  provider_request_id: string | null;
  metadata: Record<string, string>;
  created_at: string;
  started_at: string | null;
  first_token_at: string | null;
  ended_at: string | null;
  expires_at: string | null;
  links: Record<"self" | "tokens" | "events" | "stream" | "text" | "cancel", string>;
}

/** Just after a submission, and while the store is away, only these are sure. */
export type SubmittedJob = Pick<Job, "id" | "status" | "model" | "links"> & Partial<Job>;

interface StepBase extends Partial<Outcome> {
  job_id: string;
  status: Status;
  /** Where to go on; keep it together with what was shown. */
  cursor: string;
  /** The model began anew: clear what you have, then add this. */
  reset: boolean;
  /** There is never more. */
  done: boolean;
  poll_after_ms: number;
  transport: Transport;
}

/** One answer. It may bring nothing but news of the status. */
export interface TokenStep extends StepBase {
  tokens: string[];
}

/** The same with everything that the log says: strings are tokens. */
export interface EventStep extends StepBase {
  events: Array<string | LogEvent>;
}

/** Other types may be added: skip those that you do not know. */
export type LogEvent =
  | { type: "start"; generation: string; provider: string; model: string }
  | { type: "reasoning"; text: string }
  | { type: "tool_call"; index: number; id: string; name: string; arguments: string }
  | { type: "refusal"; text: string }
  | ({ type: "end"; status: Status; provider_reason: string | null; provider_request_id: string | null } & Outcome);

export interface Traffic {
  transport: Transport;
  /** Begun since the last call: requests, streams or sockets. */
  requests: number;
  /** Of bodies, received since the last call. Heads are not counted. */
  bytes: number;
}

export interface FollowOptions {
  /** Where to begin: a step's `cursor`, or `"0"`, the beginning and the default. */
  cursor?: string;
  /** `"auto"` is the default. The others hold to one transport; a WebSocket that cannot be opened gives way to `auto`. */
  transport?: "auto" | Transport;
  /** Everything that the log says in place of tokens alone. */
  events?: boolean;
  /** For how long the server gathers after the first token, up to 5000. Fewer and larger steps. */
  lingerMs?: number;
  /** Ends it at once; the iterator then throws the signal's reason, an `AbortError` unless you gave another. */
  signal?: AbortSignal;
  /** Whether to let go while nobody can see the tab, and catch up after that: true. */
  pauseHidden?: boolean;
  /** Called with what was added. */
  onTraffic?: (traffic: Traffic) => void;
  /** Called when the transport changes. */
  onTransport?: (transport: Transport, why: string) => void;
}

export interface CallOptions {
  signal?: AbortSignal;
}

/** What no further try would change. `status` is HTTP's, 0 when there was no answer. */
export class TokentailError extends Error {
  constructor(status: number, type: string, detail: string, retryAfterMs?: number);
  readonly status: number;
  /** Such as `urn:tokentail:problem:job-not-found`. */
  readonly type: string;
  readonly detail: string;
  readonly retryAfterMs: number | undefined;
}

/** One server, as one caller sees it. Every method throws TokentailError, or what its signal was aborted with. */
export class Tokentail {
  constructor(options?: TokentailOptions);

  /** Submit a request. However often it has to be sent, it makes one job. */
  submit(request: GenerationRequest, options?: CallOptions & { idempotencyKey?: string }): Promise<SubmittedJob>;

  /** What the job says, step by step; ends after the step with `done`. */
  follow(jobId: string, options: FollowOptions & { events: true }): AsyncGenerator<EventStep, void, undefined>;
  follow(jobId: string, options?: FollowOptions & { events?: false }): AsyncGenerator<TokenStep, void, undefined>;
  follow(jobId: string, options?: FollowOptions): AsyncGenerator<TokenStep | EventStep, void, undefined>;

  /** Stop the job, queued or running; one that has ended stays as it is. */
  cancel(jobId: string, options?: CallOptions): Promise<Job>;

  /** Stop the job and erase all that it holds. */
  delete(jobId: string, options?: CallOptions): Promise<void>;

  job(jobId: string, options?: CallOptions): Promise<Job>;

  /** The caller's jobs, newest first. */
  jobs(options?: CallOptions & { limit?: number; olderThan?: string }): Promise<{ jobs: Job[]; next: string | null }>;

  /** The text so far. */
  text(jobId: string, options?: CallOptions): Promise<string>;

  models(
    options?: CallOptions,
  ): Promise<{ object: "list"; data: Array<{ id: string; object: "model"; owned_by: string }>; default: string | null }>;

  /** A link with which others can read this job, and the token in it; null where no keys are needed. */
  share(
    jobId: string,
    options?: CallOptions,
  ): Promise<{ token: string | null; expires_at: string | null; link: string }>;

  /** Trade a key for the cookie of a session. After that this client sends no key by itself. */
  openSession(key: string, options?: CallOptions): Promise<void>;

  closeSession(options?: CallOptions): Promise<void>;
}

/** Keep a job in the page's address, where a reload finds it; `null` takes it out. Gives back what it was given. */
export function remember<Id extends string | null>(jobId: Id): Id;

/** The job in the page's address, and the read token if it is a share link. */
export function recall(): { job: string | undefined; token: string | undefined };

/** An event of a stream. */
export interface ServerSentEvent {
  type: string;
  data: string;
  lastEventId: string;
}

/** Server-Sent Events out of bytes, however they are cut, by the rules of WHATWG HTML. */
export class EventParser {
  readonly lastEventId: string;
  readonly retryMs: number | undefined;
  /** The events that these bytes complete. */
  push(bytes: Uint8Array): ServerSentEvent[];
}
