// The health of the deployment, in the head of the page: nothing while all is well, otherwise a mark and a few words that
// lead to the operator's view.

const EVERY_MS = 10_000;
const TIMEOUT_MS = 5000;
const WORDS = {
  "no workers": "No workers", "answers fail": "Some answers fail", "jobs wait": "Jobs wait", "redis nearly full": "Redis is nearly full",
};
const GREY = "Figures are old";

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
      if (answer.ok) this.#show(body.state === "good" ? null : "amber", WORDS[body.state] ?? body.state, body.reasons.map(({ what }) => what));
      else if (answer.status >= 500) this.#show("grey", GREY, [body.detail]);
    } catch {
      this.#show("grey", GREY, ["The server does not answer"]);
    }
  }

  /** A state of null: all is well. */
  #show(state, words, reasons) {
    this.#link.hidden = state === null;
    if (state === null) return;
    this.#link.dataset.state = state;
    this.#words.textContent = words;
    this.#link.title = reasons.join(" ") || words;
  }
}
