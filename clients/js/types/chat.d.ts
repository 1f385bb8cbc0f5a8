import type { Tokentail } from "./client.js";
import type { Usage } from "./job.js";
import type { CallOptions, FollowOptions, TokentailOptions } from "./options.js";
import type { GenerationRequest } from "./request.js";

export type Json = null | string | number | boolean | Json[] | { [name: string]: Json };

/** What the provider wants back with the next turn; it comes back with the chat's messages. */
export type ChatPartMetadata = { tokentail: { [name: string]: Json } };

/** The chunks of a UI message that an answer becomes, as the AI SDK 7 reads them. */
export type ChatChunk =
  | { type: "start"; messageId: string; messageMetadata: { job: string } }
  | { type: "start-step" | "finish-step" | "reset-step" | "abort" }
  | { type: "text-start" | "reasoning-start"; id: string }
  | { type: "text-delta" | "reasoning-delta"; id: string; delta: string }
  | { type: "text-end"; id: string }
  | { type: "reasoning-end"; id: string; providerMetadata?: ChatPartMetadata }
  | { type: "source-url"; sourceId: string; url: string; title?: string }
  | { type: "file"; url: string; mediaType: string }
  | { type: "tool-input-start"; toolCallId: string; toolName: string; inputEncoding?: "text" }
  | { type: "tool-input-delta"; toolCallId: string; inputTextDelta: string }
  | {
      type: "tool-input-available";
      toolCallId: string;
      toolName: string;
      input: unknown;
      providerMetadata?: ChatPartMetadata;
    }
  | {
      type: "tool-input-error";
      toolCallId: string;
      toolName: string;
      input: string;
      errorText: string;
      providerMetadata?: ChatPartMetadata;
    }
  | {
      type: "finish";
      finishReason: "stop" | "length" | "content-filter" | "tool-calls";
      messageMetadata: { usage: Usage | null };
    }
  | { type: "error"; errorText: string };

export interface ChatTransportOptions extends TokentailOptions {
  /** Fields of every submission, such as `model` and `tools`; those of a call's `body` have precedence. */
  request?: Omit<GenerationRequest, "messages" | "prompt">;
  /** The client to use, in place of one made of `url`, `key` and the other options. */
  tokentail?: Tokentail;
  /** How answers are followed. */
  follow?: Pick<FollowOptions, "transport" | "lingerMs" | "pauseHidden" | "onTraffic" | "onTransport" | "onTrouble">;
  /** Where the jobs of open answers are kept; `localStorage` by default, a memory where there is none. */
  jobs?: Pick<Storage, "getItem" | "setItem" | "removeItem">;
}

/** A transport for the AI SDK's `useChat` (`ai` 7). */
export class TokentailChatTransport {
  constructor(options?: ChatTransportOptions);

  readonly resumeStreamIsReplay: true;

  /** Submit the chat's messages. An abort of the signal only stops reading: the job goes on. */
  sendMessages(options: {
    chatId: string;
    messages: Array<{ id: string; role: "system" | "user" | "assistant"; parts: Array<{ type: string }> }>;
    messageId: string | undefined;
    abortSignal: AbortSignal | undefined;
    body?: object;
  }): Promise<ReadableStream<ChatChunk>>;

  /** The chat's answer from its beginning; null if the chat has none that was not read to its end. */
  reconnectToStream(options: { chatId: string; abortSignal?: AbortSignal }): Promise<ReadableStream<ChatChunk> | null>;

  /** Stop the chat's job: what the stop button calls, before `stop()`. */
  cancel(chatId: string, options?: CallOptions): Promise<void>;
}
