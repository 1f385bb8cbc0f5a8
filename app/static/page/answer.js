// An answer: the sum of the steps of a job. It is plain values, so it can be stored and read back as it is.

import { addExtra } from "./extras.js";

/** The content of an answer before anything was shown. */
const nothing = () => ({ text: "", reasoning: "", refusal: "", toolCalls: [], extras: [], tokenCount: 0 });

/** An answer without any content yet. */
export function emptyAnswer(jobId) {
  return {
    jobId, cursor: "0", status: "queued", done: false, finishReason: null, usage: null, error: null,
    ...nothing(),
  };
}

/**
 * Add one step of `follow` (with events). Returns the number of new tokens, and whether the earlier text was cleared.
 * Text and cursor change in the same call, so a reader that resumes at the cursor gets each token exactly once.
 */
export function advance(answer, step) {
  const isReset = Boolean(step.reset);
  if (isReset) Object.assign(answer, nothing());
  let tokens = 0;
  for (const element of step.events ?? step.tokens ?? []) {
    if (typeof element === "string") {
      answer.text += element;
      tokens += 1;
    } else if (element.type === "reasoning" || element.type === "refusal") {
      answer[element.type] += element.text;
    } else if (element.type === "tool_call" || element.type === "custom_tool_call") {
      addToolCall(answer.toolCalls, element);
    } else {
      addExtra(answer.extras, element);
    }
  }
  answer.tokenCount += tokens;
  answer.cursor = step.cursor;
  answer.status = step.status;
  answer.done = step.done;
  if (step.done) {
    answer.finishReason = step.finish_reason ?? null;
    answer.usage = step.usage ?? null;
    answer.error = step.error ?? null;
  }
  return { tokens, isReset };
}

/** Pieces with the same index make one tool call; the first piece has its id and name. A custom tool takes text. */
function addToolCall(calls, piece) {
  let call = calls.find((each) => each.index === piece.index);
  if (!call) calls.push((call = { index: piece.index, id: "", name: "", arguments: "" }));
  call.id ||= piece.id ?? "";
  call.name ||= piece.name ?? "";
  call.arguments += piece.arguments ?? piece.input ?? "";
}
