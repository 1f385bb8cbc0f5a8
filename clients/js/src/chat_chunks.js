const REASONS = { tool_calls: "tool-calls", content_filter: "content-filter" };
const LINK = /^https?:\/\//; // a page makes links of them

/**
 * The chunks of the AI SDK's UI message stream for the steps of a job. A reset is `reset-step`, which removes all parts
 * since the step began; no id of a part is used twice. There is a `finish` only if the job completed.
 */
export class ChatChunks {
  #jobId;
  #open; // kind and id of the part that grows
  #state; // what the provider wants back with the open reasoning
  #calls = new Map();
  #files = new Map();
  #count = 0;

  constructor(jobId) {
    this.#jobId = jobId;
  }

  /** The first chunks. `earlier` has those of what the message had before this answer. */
  *opening(messageId, earlier) {
    yield { type: "start", messageId, messageMetadata: { job: this.#jobId } };
    yield* earlier;
    yield { type: "start-step" };
  }

  /** The chunks of a step that `follow` gave, with events. */
  *of({ reset, events }) {
    if (reset) {
      this.#open = this.#state = undefined;
      this.#calls.clear();
      this.#files.clear();
      if (this.#count > 0) yield { type: "reset-step" };
    }
    for (const event of events) yield* this.#said(event);
  }

  *#said(event) {
    if (typeof event === "string") yield* this.#text(event);
    else if (event.type === "refusal") yield* this.#text(event.text);
    else if (event.type === "reasoning") yield* this.#reasoning(event);
    else if (event.type === "tool_call" || event.type === "custom_tool_call") yield* this.#call(event);
    else if (event.type === "citation" && LINK.test(event.url)) yield this.#source(event);
    else if (event.type === "media") this.#addMedia(event);
    else if (event.type === "end") yield* this.#end(event);
  }

  *#text(delta) {
    yield* this.#opened("text");
    yield { type: "text-delta", id: this.#open.id, delta };
  }

  *#reasoning({ text, provider_state }) {
    if (!text && !provider_state) return;
    yield* this.#opened("reasoning");
    if (text) yield { type: "reasoning-delta", id: this.#open.id, delta: text };
    this.#state = provider_state ?? this.#state;
  }

  #source({ url, title }) {
    return { type: "source-url", sourceId: `source-${this.#count++}`, url, ...(title ? { title } : {}) };
  }

  *#call(event) {
    let call = this.#calls.get(event.index);
    if (!call) {
      yield* this.#closed();
      this.#count += 1;
      const toolCallId = event.id || `call_${this.#jobId}_${event.index}`;
      call = { toolCallId, toolName: event.name ?? "", isCustom: event.type === "custom_tool_call", text: "" };
      this.#calls.set(event.index, call);
      yield { type: "tool-input-start", toolCallId, toolName: call.toolName, ...(call.isCustom && { inputEncoding: "text" }) };
    }
    const inputTextDelta = event.arguments ?? event.input;
    if (inputTextDelta) yield { type: "tool-input-delta", toolCallId: call.toolCallId, inputTextDelta };
    call.text += inputTextDelta ?? "";
    call.state = event.provider_state ?? call.state;
  }

  #addMedia({ index, media_type, url, data }) {
    const file = this.#files.get(index) ?? { mediaType: media_type || "application/octet-stream", pieces: [] };
    this.#files.set(index, { ...file, url: url || file.url, pieces: data ? [...file.pieces, data] : file.pieces });
  }

  *#end({ status, finish_reason, usage, error }) {
    yield* this.#closed();
    if (status === "completed") {
      yield* [...this.#files.values()].map(wholeFile);
      yield* [...this.#calls.values()].map(wholeCall);
      yield { type: "finish-step" };
      const finishReason = REASONS[finish_reason] ?? finish_reason ?? "stop";
      yield { type: "finish", finishReason, messageMetadata: { usage } };
    } else if (status === "cancelled" || !error) yield { type: "abort" };
    else yield { type: "error", errorText: error.message };
  }

  /** The chunks after which a part of this kind is open; none if one is. */
  *#opened(kind) {
    if (this.#open?.kind === kind) return;
    yield* this.#closed();
    this.#open = { kind, id: `${kind}-${this.#count++}` };
    yield { type: `${kind}-start`, id: this.#open.id };
  }

  *#closed() {
    if (this.#open) yield { type: `${this.#open.kind}-end`, id: this.#open.id, ...metadataOf(this.#state) };
    this.#open = this.#state = undefined;
  }
}

/** An image, or any other file that a model makes; each piece is base64 by itself. */
function wholeFile({ mediaType, url, pieces }) {
  const data = pieces.length === 1 ? pieces[0] : btoa(pieces.map(atob).join(""));
  return { type: "file", url: url ?? `data:${mediaType};base64,${data}`, mediaType };
}

function wholeCall({ toolCallId, toolName, isCustom, text, state }) {
  const named = { toolCallId, toolName, ...metadataOf(state, isCustom) };
  try {
    return { type: "tool-input-available", ...named, input: isCustom ? text : JSON.parse(text || "{}") };
  } catch {
    const errorText = "The model's arguments for this tool are not JSON.";
    return { type: "tool-input-error", ...named, input: text, errorText };
  }
}

/** What comes back with the part in the next request. */
function metadataOf(provider_state, isCustom) {
  const tokentail = { ...(provider_state && { provider_state }), ...(isCustom && { custom: true }) };
  return Object.keys(tokentail).length > 0 ? { providerMetadata: { tokentail } } : {};
}
