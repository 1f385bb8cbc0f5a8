// The health of the deployment, in the head of the page: nothing while all is well, otherwise a mark and a few words that
// lead to the operator's view.

import { awayWords } from "./failure.js";

const EVERY_MS = 10_000;
const TIMEOUT_MS = 5000;
const WELL = "good";
const WORDS = {
  "no workers": "No workers", "answers fail": "Some answers fail", "jobs wait": "Jobs wait", "redis nearly full": "Redis is nearly full",
};

export class Health {
  #link;
  #words;

  constructor(link, words) {
    [this.#link, this.#words] = [link, words];
  }

  /** Look now and every few seconds while the tab is visible. */
  watch() {
    this.look();
    setInterval(() => document.hidden || this.look(), EVERY_MS);
  }

  async look() {
    try {
      const answer = await fetch("v1/overview", { signal: AbortSignal.timeout(TIMEOUT_MS) });
      const body = await answer.json();
      if (answer.ok) this.#show(body.state === WELL ? null : "amber", WORDS[body.state] ?? body.state, body.reasons.map(sentence));
      else if (answer.status >= 500) this.#away(body);
    } catch {
      this.#away();
    }
  }

  /** No figures: the mark says why. */
  #away(problem) {
    this.#show("grey", awayWords(problem).slice(0, -1), problem?.detail ? [problem.detail] : []);
  }

  /** Amber: something is not well. Grey: nothing is known. A colour of null: all is well. */
  #show(colour, words, reasons) {
    this.#link.hidden = colour === null;
    if (colour === null) return;
    this.#link.dataset.state = colour;
    this.#words.textContent = words;
    this.#link.title = reasons.join("\n") || words;
  }
}

const sentence = ({ what, do: toDo }) => (toDo ? `${what} ${toDo}.` : what);
