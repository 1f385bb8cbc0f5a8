// A tally: figures that summarize a list of jobs. Pure.

export const STATES = ["queued", "running", "completed", "failed", "cancelled"];

/** Counts by state and by error, and the median time to a first token (null without any). */
export function tally(views) {
  const states = Object.fromEntries(STATES.map((state) => [state, 0]));
  const errors = new Map();
  for (const { status, error } of views) {
    states[status] += 1;
    if (error) errors.set(error.type, [...(errors.get(error.type) ?? []), error.message]);
  }
  const waits = views.map((view) => view.time_to_first_token_ms).filter((ms) => ms != null).sort((a, b) => a - b);
  return { states, errors, firstTokenMs: waits.length ? waits[Math.floor(waits.length / 2)] : null };
}

/** Tokens per second between two views of the jobs: `before` maps job ids to views of `tookMs` ago. */
export function tokensPerSecond(before, views, tookMs) {
  let tokens = 0;
  for (const { id, token_count: now, answer_first_token_at: beganAt } of views) {
    const last = before.get(id);
    // A reset answer counts from 0.
    tokens += Math.max(now - (last?.answer_first_token_at === beganAt ? last.token_count : 0), 0);
  }
  return (1000 * tokens) / tookMs;
}
