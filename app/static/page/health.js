// The health of the deployment, in the head of the page: nothing while all is well, otherwise a mark and a few words that
// lead to the operator's view.

const EVERY_MS = 10_000;
const TIMEOUT_MS = 5000;
const WORDS = { amber: "Some answers fail", grey: "Figures are old" };

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
      if (answer.ok) this.#show(body.state, body.reasons);
      else if (answer.status >= 500) this.#show("grey", [body.detail]);
    } catch {
      this.#show("grey", ["The server does not answer"]);
    }
  }

  #show(state, reasons) {
    const isWell = !WORDS[state];
    this.#link.hidden = isWell;
    if (isWell) return;
    this.#link.dataset.state = state;
    const words = (reasons ?? []).map((reason) => reason?.words ?? reason).filter((reason) => typeof reason === "string");
    this.#words.textContent = WORDS[state];
    this.#link.title = words.join(" ") || WORDS[state];
  }
}
