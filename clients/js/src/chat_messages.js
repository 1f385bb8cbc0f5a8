const CONTROLS = /[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]/g; // the output of a tool may have colours, which no model needs

/** The messages of a submission for those of a chat. What a page shows and no model reads is left out. */
export function requestMessages(messages) {
  return messages.flatMap(({ role, parts }) => {
    if (role === "assistant") return stepsOf(parts).flatMap(answerMessages);
    const files = role === "user" ? parts.filter(({ type }) => type === "file").map(filePart) : [];
    const text = textOf(parts);
    if (files.length === 0) return text ? [{ role, content: text }] : [];
    return [{ role, content: text ? [...files, { type: "text", text }] : files }];
  });
}

function plain(text) {
  return text.replace(CONTROLS, "");
}

function textOf(parts) {
  return plain(parts.filter(({ type }) => type === "text").map(({ text }) => text).join(""));
}

function filePart({ url, mediaType, filename }) {
  if (mediaType.startsWith("image/")) return { type: "image_url", image_url: { url } };
  const file = { [url.startsWith("data:") ? "file_data" : "file_url"]: url };
  return { type: "file", file: filename ? { ...file, filename } : file };
}

/** The parts of each step: a model's answer and the results of its calls. */
function stepsOf(parts) {
  const steps = [[]];
  for (const part of parts) {
    if (part.type === "step-start") steps.push([]);
    else steps.at(-1).push(part);
  }
  return steps;
}

function answerMessages(parts) {
  const calls = parts.filter((part) => isCall(part) && outputOf(part) !== undefined);
  const message = { role: "assistant", content: textOf(parts) || null };
  const thoughts = parts.filter(({ type }) => type === "reasoning");
  const state = thoughts.map(({ providerMetadata: given }) => given?.tokentail?.provider_state).filter(Boolean).at(-1);
  if (state) {
    const text = plain(thoughts.map((part) => part.text ?? "").join(""));
    Object.assign(message, text && { reasoning_content: text }, { provider_state: state });
  }
  if (calls.length > 0) message.tool_calls = calls.map(toolCall);
  if (calls.length === 0 && !message.content) return [];
  const results = calls.map((part) => ({ role: "tool", tool_call_id: part.toolCallId, content: outputOf(part) }));
  return [message, ...results];
}

function isCall({ type }) {
  return type === "dynamic-tool" || type.startsWith("tool-");
}

/** The result of a tool call as text; undefined for a call that has no result. */
function outputOf({ state, output, errorText }) {
  if (state === "output-available") return typeof output === "string" ? plain(output) : plainJson(output ?? null);
  if (state === "output-error") return plain(errorText || "The tool failed.");
  return state === "output-denied" ? "The user did not allow this call." : undefined;
}

function toolCall({ type, toolName, toolCallId, input, rawInput, callProviderMetadata, resultProviderMetadata }) {
  const name = type === "dynamic-tool" ? toolName : type.slice("tool-".length);
  const { provider_state, custom } = callProviderMetadata?.tokentail ?? resultProviderMetadata?.tokentail ?? {};
  const call = { id: toolCallId, ...(provider_state && { provider_state }) };
  const asked = input ?? rawInput ?? {};
  // A text is the input of a custom tool, or arguments of which the model made no JSON.
  const text = typeof asked === "string" ? plain(asked) : plainJson(asked);
  if (custom) return { ...call, type: "custom", custom: { name, input: text } };
  return { ...call, type: "function", function: { name, arguments: text } };
}

function plainJson(value) {
  return JSON.stringify(value, (_, item) => (typeof item === "string" ? plain(item) : item));
}
