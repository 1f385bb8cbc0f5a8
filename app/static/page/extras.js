// Extras: what an answer holds besides its text, reasoning and tool calls. Pure; plain values, so they can be stored.

const JOINED = { code: ["id", "text"], media: ["index", "data"] }; // type: what its pieces share, and what is joined

/** Add an event of the log to the list, if its type is one of these. */
export function addExtra(extras, event) {
  if (!["provider_tool_call", "tool_result", "code", "media", "citation", "skipped"].includes(event.type)) return;
  const [key, joined] = JOINED[event.type] ?? [];
  const begun = key && extras.find((each) => each.type === event.type && each[key] === event[key]);
  if (!begun) extras.push({ ...event, pieces: 1 });
  else {
    begun[joined] = (begun[joined] ?? "") + (event[joined] ?? "");
    begun.pieces += 1;
  }
}

/** A text that changes whenever the extras of an answer do: within a generation, extras only grow. */
export function extrasMark(answer) {
  if (!answer?.extras.length) return "";
  const sizes = answer.extras.map((extra) => (extra.text ?? extra.data ?? "").length);
  return `${answer.jobId} ${answer.cursor.split(".")[0]} ${sizes.join()}`;
}
