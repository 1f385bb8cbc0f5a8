// The facts of an answer: the state and figures of its job, in words.

import { count, short, span, until } from "./format.js";

const STATES = {
  idle: "Ready", queued: "In the queue", running: "Answering",
  completed: "Complete", failed: "Failed", cancelled: "Stopped",
  missing: "Not found", gone: "Deleted or expired", refused: "No access",
};
const WAITS_FOR = {
  slot: "a free slot", worker: "a worker with this model", share: "one of your earlier jobs",
};
const CUT_SHORT = {
  length: "stopped at the token limit", content_filter: "stopped by the provider’s filter", tool_calls: "waiting for tool results",
};

/** The state in words, for the page and for screen readers. */
export function stateWords(status, view, answer) {
  if (status === "queued" && view?.waits_for) return `In the queue, waiting for ${WAITS_FOR[view.waits_for]}`;
  if (status === "completed" && CUT_SHORT[answer?.finishReason]) return `Complete, ${CUT_SHORT[answer.finishReason]}`;
  return STATES[status] ?? status;
}

/** Fills the list of facts. */
export class FactsView {
  #cells = {};
  #line;

  constructor(list, line) {
    this.#line = line;
    for (const cell of list.querySelectorAll("dd")) this.#cells[cell.id.replace("fact-", "")] = cell;
  }

  /** `view` is the job's, or null when it is not known yet; `perSecond` the pace, or null. */
  show(answer, view, perSecond) {
    const usage = answer?.usage ?? view?.usage;
    this.#tell("place", view?.status === "queued" && view.queue_position ? `${count(view.queue_position)}.` : "–");
    this.#tell("first", view?.time_to_first_token_ms == null ? "–" : span(view.time_to_first_token_ms));
    this.#tell("rate", rate(answer, view, perSecond));
    this.#tell("tokens", answer ? count(answer.tokenCount) : "–");
    this.#tell("usage", usage ? usageWords(usage) : "–");
    this.#tell("attempts", view ? count(view.attempts) : "–");
    this.#tell("model", view?.model ?? "–");
    this.#tell("expiry", view?.expires_at ? until(view.expires_at) : "–");
    this.#tell("cursor", answer?.cursor ?? "–");
    const pace = this.#cells.rate.textContent;
    const words = answer ? `${count(answer.tokenCount)} ${answer.tokenCount === 1 ? "token" : "tokens"}${pace === "–" ? "" : `, ${pace}/s`}` : "–";
    if (this.#line.textContent !== words) this.#line.textContent = words;
  }

  #tell(name, words) {
    const cell = this.#cells[name];
    if (cell && cell.textContent !== words) [cell.textContent, cell.title] = [words, words];
  }
}

/** The pace that was measured here while the answer grows; afterwards the average over the whole answer. */
function rate(answer, view, perSecond) {
  if (answer?.done && view?.ended_at && view.answer_first_token_at) {
    const tookMs = Date.parse(view.ended_at) - Date.parse(view.answer_first_token_at);
    return tookMs > 0 && view.token_count > 1 ? short((1000 * (view.token_count - 1)) / tookMs) : "–";
  }
  return perSecond === null || answer?.done ? "–" : short(perSecond);
}

function usageWords(usage) {
  const known = (number) => (number == null ? "?" : count(number));
  const extra = [];
  if (usage.reasoning_tokens) extra.push(`${count(usage.reasoning_tokens)} reasoning`);
  if (usage.cached_tokens) extra.push(`${count(usage.cached_tokens)} cached`);
  const estimate = usage.output_tokens_estimated;
  const output = estimate == null ? known(usage.output_tokens) : `about ${count(estimate)}`;
  return `${known(usage.input_tokens)} and ${output}${extra.length ? ` (${extra.join(", ")})` : ""}`;
}
