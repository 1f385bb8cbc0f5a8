const AS_THEY_ARE = /^(file|reasoning-file|source-url|source-document|custom|data-)/;

/**
 * The chunks that build the parts of an assistant's message anew: when a chat resumes, the AI SDK empties the message and
 * takes the stream for all of it. No chunk here makes the SDK call a tool.
 */
export function chunksOfParts(parts) {
  return parts.flatMap((part, n) => {
    if (part.type === "step-start") return [{ type: "start-step" }];
    if (part.type === "text" || part.type === "reasoning") return textChunks(part, `earlier-${n}`);
    if (part.type === "dynamic-tool" || part.type.startsWith("tool-")) return toolChunks(part);
    return AS_THEY_ARE.test(part.type) ? [part] : [];
  });
}

function textChunks({ type, text, providerMetadata }, id) {
  const end = { type: `${type}-end`, id, ...(providerMetadata && { providerMetadata }) };
  return [{ type: `${type}-start`, id }, { type: `${type}-delta`, id, delta: text ?? "" }, end];
}

function toolChunks({ type, toolCallId, toolName, input, state, output, errorText, callProviderMetadata }) {
  const isText = typeof input === "string";
  const start = {
    type: "tool-input-start",
    toolCallId,
    toolName: toolName ?? type.slice("tool-".length),
    ...(type === "dynamic-tool" && { dynamic: true }),
    ...(isText && { inputEncoding: "text" }),
    ...(callProviderMetadata && { providerMetadata: callProviderMetadata }),
  };
  const inputTextDelta = isText ? input : JSON.stringify(input ?? undefined);
  const results = {
    "output-available": { type: "tool-output-available", toolCallId, output: output ?? null },
    "output-error": { type: "tool-output-error", toolCallId, errorText: errorText ?? "" },
    "output-denied": { type: "tool-output-denied", toolCallId },
  };
  return [start, inputTextDelta && { type: "tool-input-delta", toolCallId, inputTextDelta }, results[state]].filter(Boolean);
}
