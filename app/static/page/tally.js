// A tally: what a list of jobs says of how it goes. Pure.

export const STATES = ["queued", "running", "completed", "failed", "cancelled"];

/** Counts by state and by error, and the middle of the waits for a first token (null if there is none). */
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

/** Tokens a second between two looks at jobs: `before` is job → token count, of a time `tookMs` ago. */
export function tokensPerSecond(before, views, tookMs) {
  let tokens = 0;
  for (const { id, token_count: now } of views) tokens += Math.max(now - (before.get(id) ?? 0), 0);
  return (1000 * tokens) / tookMs;
}
