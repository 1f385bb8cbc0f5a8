/** How a step was transported: a stream, a WebSocket, a long poll or a short poll. */
export type Transport = "sse" | "websocket" | "long" | "short";

export type Status = "queued" | "running" | "completed" | "failed" | "cancelled";

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

/** A mark for providers that keep their reading of what comes before it (Anthropic). */
export interface CacheControl {
  type: "ephemeral";
  ttl?: "5m" | "1h";
}

export type MessagePart = (
  | { type: "text"; text: string }
  | { type: "image_url"; image_url: { url: string; detail?: "auto" | "low" | "high" | "original" } }
  | { type: "file"; file: { file_data?: string; file_url?: string; file_id?: string; filename?: string } }
  | { type: "input_audio"; input_audio: { data: string; format: string } }
) & { cache_control?: CacheControl };

/** What a provider wants back with the next turn: as it came in the log, unchanged. */
export type ProviderState = { dialect: string } & Record<string, unknown>;

/** A call in an earlier answer. `provider_state` is what its event had in the log. */
export type MessageToolCall = { id: string; provider_state?: ProviderState } & (
  | { type?: "function"; function: { name: string; arguments: string } }
  | { type: "custom"; custom: { name: string; input: string } }
);

export interface Message {
  role: "system" | "developer" | "user" | "assistant" | "tool";
  content?: string | null | MessagePart[];
  tool_calls?: MessageToolCall[];
  tool_call_id?: string;
  /** The text of the answer's `reasoning` events, joined. */
  reasoning_content?: string;
  /** The last `provider_state` of the answer's `reasoning` events. */
  provider_state?: ProviderState;
  cache_control?: CacheControl;
}

/** A tool: a function, a custom tool, or one that the provider runs itself, as its own API has it. */
export type Tool =
  | {
      type?: "function";
      function: { name: string; description?: string; parameters?: Record<string, unknown>; strict?: boolean };
      cache_control?: CacheControl;
    }
  | { type: "custom"; custom: { name: string; description?: string; format?: Record<string, unknown> } }
  | ({ type: string } & Record<string, unknown>)
  | Record<string, Record<string, unknown>>;

/** Whether the model may, must or must not call a tool, or the one that it must call. */
export type ToolChoice =
  | "auto"
  | "none"
  | "required"
  | { type?: "function"; function: { name: string } }
  | { type: "custom"; custom: { name: string } };

/** The form of the answer. `json_schema` goes with the type of that name. */
export interface ResponseFormat {
  type: "text" | "json_object" | "json_schema";
  json_schema?: { name: string; schema: Record<string, unknown>; strict?: boolean; description?: string };
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
  tools?: Tool[];
  tool_choice?: ToolChoice;
  response_format?: ResponseFormat;
  reasoning_effort?: "none" | "minimal" | "low" | "medium" | "high" | "xhigh" | "max";
  extra?: Record<string, unknown>;
  /** Deadlines in seconds, shorter or longer than the deployment's. */
  timeouts?: { first_token_s?: number; idle_s?: number; content_s?: number; total_s?: number };
  /** Ends the answer when it has had no reader for `abandon_after_s` seconds (5 to 86400; 60 is the default). */
  on_abandon?: "cancel";
  abandon_after_s?: number;
  /** Whose job it is among the application's own users: 1 to 128 characters. */
  user?: string;
  metadata?: Record<string, string>;
}

export interface Usage {
  input_tokens: number | null;
  output_tokens: number | null;
  reasoning_tokens: number | null;
  cached_tokens: number | null;
  /** Of an answer that was stopped before the provider had counted its output: an estimate from what was shown. */
  output_tokens_estimated?: number;
}

/** Why a job failed; of a cancelled job, `abandoned` where `on_abandon` ended it. */
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
  user: string | null;
  metadata: Record<string, string>;
  created_at: string;
  started_at: string | null;
  first_token_at: string | null;
  answer_first_token_at: string | null;
  ended_at: string | null;
  expires_at: string | null;
  links: Record<"self" | "tokens" | "events" | "stream" | "text" | "cancel", string>;
}

/** A job just after its submission. While the server cannot reach its store, only the required fields are set. */
export type SubmittedJob = Pick<Job, "id" | "status" | "model" | "links"> & Partial<Job>;

interface StepBase extends Partial<Outcome> {
  job_id: string;
  status: Status;
  /** Where to resume. Keep it together with the text that was shown. */
  cursor: string;
  /** The model started again from the beginning: clear the text so far, then add this step's. */
  reset: boolean;
  /** Whether this is the last step. */
  done: boolean;
  poll_after_ms: number;
  transport: Transport;
}

/** The news of one response. It has no tokens when only the status changed. */
export interface TokenStep extends StepBase {
  tokens: string[];
}

/** A step with everything in the log: strings are tokens. */
export interface EventStep extends StepBase {
  events: Array<string | LogEvent>;
}

/** An event of the log. Later servers may add types: skip unknown ones. */
export type LogEvent =
  | { type: "start"; generation: string; provider: string; model: string }
  /** `provider_state` goes back on the assistant's message of the next turn, as it is. */
  | { type: "reasoning"; text: string; provider_state?: unknown }
  /** Pieces with one `index` belong together; the first has `id` and `name`. The `arguments` join to JSON. */
  | { type: "tool_call"; index: number; id?: string; name?: string; arguments: string; provider_state?: unknown }
  | { type: "custom_tool_call"; index: number; id?: string; name?: string; input: string }
  | { type: "provider_tool_call"; id: string; name: string; arguments: string }
  | { type: "tool_result"; id: string; name: string; output: string; is_error: boolean }
  | { type: "code"; id: string; language: string; text: string }
  /** Pieces with one `index` belong together; the `data` of each is base64 by itself. */
  | {
      type: "media";
      index: number;
      kind: "image" | "audio" | "video" | "file";
      media_type: string;
      data?: string;
      url?: string;
    }
  | { type: "citation"; url: string; title: string; text: string; start?: number; end?: number }
  /** Content of the provider's for which the log has no event. */
  | { type: "skipped"; kind: string; provider_type: string; bytes: number }
  | { type: "refusal"; text: string }
  | ({ type: "end"; status: Status; provider_reason: string | null; provider_request_id: string | null } & Outcome);

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

  /** The caller's jobs, newest first. */
  jobs(options?: CallOptions & { limit?: number; olderThan?: string }): Promise<{ jobs: Job[]; next: string | null }>;

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
