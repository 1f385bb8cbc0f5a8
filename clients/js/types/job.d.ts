export type Status = "queued" | "running" | "completed" | "failed" | "cancelled";

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
  /** Calls of the provider, by all attempts together. */
  provider_calls: number;
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

/** Which jobs a list is to show. */
export interface JobFilter {
  user?: string;
  status?: Status;
  /** A full name; a `*` at its end stands for anything. */
  model?: string;
  metadata?: Record<string, string>;
  /** A time such as `2026-01-31T12:00:00Z`, or an age such as `15m`. */
  since?: string;
}
