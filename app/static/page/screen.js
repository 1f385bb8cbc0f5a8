// The screen shows the watched job on the page and to screen readers. It decides nothing.

import { Announcer } from "./announcer.js";
import { AnswerView } from "./answer_view.js";
import { CostsView } from "./costs_view.js";
import { FactsView, stateWords } from "./facts.js";
import { jobTitle } from "./job_list.js";
import { Newest } from "./newest.js";
import { Painter } from "./painter.js";

const COSTS_NOTES = {
  measured: "Four readers of one log. Delay: how much later than the first of the four. Bytes include 800 for the headers of each request.",
  estimated: "Each mark is a batch of tokens: the higher, the more at once. Bytes include 800 for the headers of each request.",
};
const PROBLEMS = {
  404: "There is no such job, or it is not yours.",
  410: "This answer has expired or was deleted.",
};

const at = (id) => document.getElementById(id);

export class Screen {
  #job;
  #isReader;
  #answer = new AnswerView({
    text: at("answer"), reasoning: at("reasoning"), reasoningText: at("reasoning-text"),
    reasoningSize: at("reasoning-size"), toolCalls: at("tool-calls"), extras: at("extras"), refusal: at("refusal"),
  });
  #facts = new FactsView(at("facts"), at("facts-line"));
  #newest = new Newest(at("answer-end"), at("to-newest"), at("stop-too"), at("stop"));
  #costs;
  #painter = new Painter(() => this.#paint());
  announcer = new Announcer(at("announce-state"), at("announce-text"));

  constructor(job, isReader) {
    [this.#job, this.#isReader] = [job, isReader];
    this.#costs = new CostsView(job.costs, at("costs-rows"), at("costs-line"));
    this.#newest.mayStop = !isReader;
    at("costs").addEventListener("toggle", () => this.#costs.draw());
  }

  /** Another job is watched, or no job. */
  began() {
    this.announcer.begin(this.#job.answer?.text.length);
    this.#painter.now();
    this.changed();
  }

  /** The answer has grown, or was reset. */
  grew(isReset) {
    const { text, done } = this.#job.answer;
    if (isReset) this.announcer.begin();
    this.announcer.heard(text, done);
    if (done) this.#painter.now(); // the last painting does not wait
    else this.#painter.ask();
  }

  /** Something else has changed. */
  changed() {
    const { answer, view, isOpen, comparison, costs, problem, state } = this.#job;
    const words = stateWords(state, view, answer);
    at("state").dataset.state = state;
    put("state-text", words);
    if (answer) this.announcer.state(answer.done ? `${words}. ${answer.tokenCount} tokens.` : words);
    document.documentElement.toggleAttribute("data-shows", Boolean(answer));
    allow("stop", isOpen && !this.#isReader);
    allow("share", Boolean(answer) && !problem && !this.#isReader);
    allow("copy", Boolean(answer?.text));
    allow("compare", isOpen && !comparison);
    put("compare", comparison ? "Comparing…" : "Compare all four, live");
    put("costs-note", costs.isMeasured ? COSTS_NOTES.measured : COSTS_NOTES.estimated);
    at("welcome").hidden = Boolean(answer);
    this.#newest.isGrowing = isOpen;
    this.#newest.offer();
    if (costs.isMeasured) this.#costs.point(null);
    this.#costs.run(isOpen || Boolean(comparison));
    this.#showAsked();
    this.tell(problem ?? answer?.error ?? null);
    this.#painter.ask();
  }

  /** Show the transport in use. */
  point(transport) {
    if (!this.#job.costs.isMeasured) this.#costs.point(transport);
  }

  /** Show what went wrong with the job; null removes the message. */
  tell(error) {
    at("job-problem").hidden = error === null;
    if (error === null) return;
    const words = this.#isReader && error.status === 401 ? "This link has expired or was revoked." : (PROBLEMS[error.status] ?? error.detail ?? error.message);
    put("job-problem", words);
    this.announcer.state(words);
  }

  #paint() {
    const { answer, view, pace } = this.#job;
    this.#newest.before();
    this.#answer.show(answer);
    this.#facts.show(answer, view, pace.perSecond(performance.now()));
    this.#newest.after();
  }

  #showAsked() {
    const { answer, problem, prompt, view } = this.#job;
    const asked = prompt || (view ? jobTitle(view) : "");
    at("asked").hidden = !answer || Boolean(problem && !asked);
    put("asked", asked || "…");
    document.title = answer && asked ? `${asked.slice(0, 60)} · Tokentail` : "Tokentail";
  }
}

/** Move the focus here when its element becomes useless. Nothing scrolls. */
export function focusAnswer() {
  at("answer-card").focus({ preventScroll: true });
}

/** Enable or disable a button; a focused one that is disabled passes the focus on. */
function allow(id, isAllowed) {
  const button = at(id);
  if (!isAllowed && button === document.activeElement) focusAnswer();
  button.disabled = !isAllowed;
}

function put(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}
