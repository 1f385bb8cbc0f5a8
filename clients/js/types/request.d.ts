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
  /** How long the content is kept after the job's end, in the place of the deployment's time. */
  retention_s?: number;
}
