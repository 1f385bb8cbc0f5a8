// The screen shows the watched job on the page and to screen readers. It decides nothing.

import { Announcer } from "./announcer.js";
import { AnswerView } from "./answer_view.js";
import { CostsView } from "./costs_view.js";
import { FactsView, stateWords } from "./facts.js";
import { callsWords, kindWords } from "./failure.js";
import { count, size, span } from "./format.js";
import { jobTitle } from "./job_list.js";
import { Newest } from "./newest.js";
import { Painter } from "./painter.js";
import { titleOf } from "./transports.js";

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
  #painter = new Painter(() => this.#paint());
  #answer = new AnswerView({
    text: at("answer"), toolCalls: at("tool-calls"), extras: at("extras"), refusal: at("refusal"),
    reasoning: { box: at("reasoning"), text: at("reasoning-text"), state: at("reasoning-state"), size: at("reasoning-size") },
  }, () => this.#painter.now());
  #facts = new FactsView(at("facts"), at("facts-line"));
  #newest = new Newest(at("answer-end"), at("to-newest"), at("composer"));
  #costs;
  announcer = new Announcer(at("announce-state"), at("announce-text"));

  constructor(job, isReader) {
    [this.#job, this.#isReader] = [job, isReader];
    this.#costs = new CostsView(job.costs, at("costs-rows"), at("costs-line"));
    at("costs").addEventListener("toggle", () => this.#costs.draw());
  }

  /** Another job is watched, or no job. */
  began() {
    this.announcer.begin(this.#job.answer?.text.length);
    this.notice(null);
    put("replayed", "");
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
    const { answer, view, isOpen, comparison, costs, problem, trouble, state, prompt } = this.#job;
    const words = trouble ? `${trouble.slice(0, -1)}; trying again` : stateWords(state, view, answer);
    at("state").dataset.state = trouble ? "amber" : state;
    put("state-text", words);
    if (answer) this.announcer.state(answer.done ? `${words}. ${answer.tokenCount} tokens.` : words);
    document.documentElement.toggleAttribute("data-shows", Boolean(answer));
    const isThere = Boolean(answer) && !problem;
    document.documentElement.toggleAttribute("data-missing", Boolean(problem) && !answer.text);
    allow("stop", isOpen && !this.#isReader);
    at("stop").hidden = at("stop").disabled;
    allow("share", isThere && !this.#isReader);
    allow("copy", Boolean(answer?.text));
    allow("compare", isOpen && !comparison);
    put("compare", comparison ? "Comparing…" : "Compare all four, live");
    put("costs-note", costs.isMeasured ? COSTS_NOTES.measured : COSTS_NOTES.estimated);
    at("via").hidden = Boolean(problem);
    at("after").hidden = !isThere;
    at("after").toggleAttribute("data-waits", isOpen); // its place is kept, so that nothing moves at the end
    at("again").hidden = at("edit").hidden = !(prompt || view?.metadata?.title);
    this.#newest.isGrowing = isOpen;
    this.#newest.offer();
    if (costs.isMeasured) this.#costs.point(null);
    this.#costs.run(isOpen || Boolean(comparison));
    at("reader-note").hidden = !this.#isReader || Boolean(problem); // it promises that the answer can be read
    this.#showAsked();
    this.#showProblem(problem ?? answer?.error ?? null);
    this.#painter.ask();
  }

  /** Show the transport in use. */
  point(transport) {
    if (!this.#job.costs.isMeasured) this.#costs.point(transport);
  }

  /** An ended answer was read once more. */
  replayed({ transport, tookMs, isSame }) {
    const { requests, bytes } = this.#job.costs.of[transport];
    const how = `${count(requests)} ${requests === 1 ? "request" : "requests"}, ${size(bytes)}, ${span(tookMs)}`;
    put("replayed", `Read again over ${titleOf(transport)}: ${how}. ${isSame ? "The same text." : "The text is another one."}`);
  }

  /** Show what went wrong with something that was tried; null removes the message, as the next try does. */
  notice(error) {
    at("submit-problem").hidden = error === null;
    if (error) put("submit-problem", error.detail ?? error.message);
  }

  #showProblem(error) {
    at("problem").hidden = error === null;
    if (error === null) return;
    const isOfJob = !this.#job.problem;
    const words = this.#isReader && error.status === 401 ? "This link has expired or was revoked." : (PROBLEMS[error.status] ?? error.detail ?? error.message);
    put("problem-kind", isOfJob ? kindWords(error) : "");
    put("job-problem", words);
    put("problem-calls", isOfJob ? callsWords(error, this.#job.view) : "");
    at("retry").hidden = !isOfJob || at("again").hidden || this.#isReader;
    at("start-over").hidden = isOfJob || this.#isReader;
    this.announcer.state([at("problem-kind").textContent, words].filter(Boolean).join(". "));
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
    if (at("asked").scrollHeight > at("asked").clientHeight + 1) at("asked").tabIndex = 0; // so that keys can scroll it
    else at("asked").removeAttribute("tabindex");
    const title = asked || (problem ? stateWords(this.#job.state) : "");
    document.title = answer && title ? `${title.slice(0, 60)} · Tokentail` : "Tokentail";
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
