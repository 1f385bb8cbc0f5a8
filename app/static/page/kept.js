// The kept answer: all that was read, with its cursor. It survives a reload, and belongs to this tab until it closes.

import { emptyAnswer } from "./answer.js";

const PLACE = "tokentail.answer";
const MOST_CHARACTERS = 1_000_000; // browsers allow 5 MB; a longer answer is read from its beginning after a reload

/** Keep this answer and its prompt, in place of the one before. */
export function keep(answer, prompt) {
  try {
    const kept = JSON.stringify({ answer, prompt });
    if (kept.length > MOST_CHARACTERS) sessionStorage.removeItem(PLACE);
    else sessionStorage.setItem(PLACE, kept);
  } catch {
    // Storage is refused or full: after a reload the answer is read from its beginning.
  }
}

/** The kept `{answer, prompt}` of this job; an empty answer if nothing was kept. */
export function takeUp(jobId) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PLACE));
    if (kept?.answer?.jobId === jobId) return { answer: { ...emptyAnswer(jobId), ...kept.answer }, prompt: kept.prompt ?? "" };
  } catch {
    // The stored text is not ours, or storage is refused.
  }
  return { answer: emptyAnswer(jobId), prompt: "" };
}

/** Forget the kept answer, because the person signs out. */
export function forget() {
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // Storage is refused, so nothing is kept.
  }
}
