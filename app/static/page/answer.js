// An answer: what the steps of a job's log add up to. Pure, so that it can be kept, and taken up again, as it is.

/** An answer of which nothing has come yet. */
export function emptyAnswer(jobId) {
  return {
    jobId, cursor: "0", status: "queued", done: false, finishReason: null, usage: null, error: null,
    text: "", reasoning: "", refusal: "", toolCalls: [], tokenCount: 0,
  };
}

/**
 * Take in one step of `follow` (with events). Returns how many tokens came, and whether what was there is void.
 * The cursor moves in the same call as the text: whoever goes on from it misses nothing and sees nothing twice.
 */
export function advance(answer, step) {
  const isReset = Boolean(step.reset);
  if (isReset) Object.assign(answer, { text: "", reasoning: "", refusal: "", toolCalls: [], tokenCount: 0 });
  let tokens = 0;
  for (const element of step.events ?? step.tokens ?? []) {
    if (typeof element === "string") {
      answer.text += element;
      tokens += 1;
    } else if (element.type === "reasoning" || element.type === "refusal") {
      answer[element.type] += element.text;
    } else if (element.type === "tool_call") {
      addToolCall(answer.toolCalls, element);
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

/** Pieces with one index belong together; id and name come with the first. */
function addToolCall(calls, piece) {
  let call = calls.find((each) => each.index === piece.index);
  if (!call) calls.push((call = { index: piece.index, id: "", name: "", arguments: "" }));
  call.id ||= piece.id ?? "";
  call.name ||= piece.name ?? "";
  call.arguments += piece.arguments ?? "";
}
