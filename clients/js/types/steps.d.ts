import type { Outcome, Status } from "./job.js";

/** How a step was transported: a stream, a WebSocket, a long poll or a short poll. */
export type Transport = "sse" | "websocket" | "long" | "short";

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
