// What is kept of an answer over a reload: all that was read, with its cursor, for this tab alone and until it closes.

import { emptyAnswer } from "./answer.js";

const PLACE = "tokentail.answer";
const MOST_CHARACTERS = 1_000_000; // of the 5 MB that browsers give; a longer answer is read again from its beginning

/** Keep this answer and what was asked; the last one only. */
export function keep(answer, prompt) {
  try {
    const kept = JSON.stringify({ answer, prompt });
    if (kept.length > MOST_CHARACTERS) sessionStorage.removeItem(PLACE);
    else sessionStorage.setItem(PLACE, kept);
  } catch {
    // Storage is refused or full: after a reload the answer is read from its beginning.
  }
}

/** What was kept of this job: `{answer, prompt}`; from the beginning if nothing was. */
export function takeUp(jobId) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(PLACE));
    if (kept?.answer?.jobId === jobId) return { answer: { ...emptyAnswer(jobId), ...kept.answer }, prompt: kept.prompt ?? "" };
  } catch {
    // Nothing that can be read.
  }
  return { answer: emptyAnswer(jobId), prompt: "" };
}

/** Forget it: somebody signs out. */
export function forget() {
  try {
    sessionStorage.removeItem(PLACE);
  } catch {
    // Storage is refused, so there is nothing.
  }
}
