// The view of a model's reasoning: open while the model thinks, with the seconds, and folded once it answers. A person who
// folds or unfolds it has the last word.

import { count } from "./format.js";

const TICK_MS = 1000;
const SHORTEST_MS = 1000; // what was read faster than this was probably written earlier

export class ReasoningView {
  #parts;
  #shown = "";
  #began = null; // when this page saw the first of it
  #timer;
  #isTheirs = false; // the person has chosen whether it is open

  /** The elements: box, text, state, size. */
  constructor(parts) {
    this.#parts = parts;
    parts.box.querySelector("summary").addEventListener("click", () => (this.#isTheirs = true));
  }

  /** Show this reasoning, which the model goes on writing if `isThinking`. */
  show(reasoning, isThinking) {
    const { box, text, size } = this.#parts;
    if (!reasoning.startsWith(this.#shown) || !reasoning) this.#clear();
    if (!reasoning) return;
    box.hidden = false;
    if (reasoning !== this.#shown) {
      const node = text.firstChild ?? text.appendChild(document.createTextNode(""));
      node.appendData(reasoning.slice(node.length));
      this.#shown = reasoning;
      size.textContent = `${count(reasoning.length)} characters`;
    }
    if (isThinking) this.#think();
    else this.#rest();
    if (isThinking) text.scrollTop = text.scrollHeight;
  }

  #think() {
    if (this.#timer) return;
    this.#began ??= performance.now();
    this.#timer = setInterval(() => this.#count(), TICK_MS);
    this.#parts.box.toggleAttribute("data-thinks", true);
    if (!this.#isTheirs) this.#parts.box.open = true;
    this.#count();
  }

  #count() {
    this.#parts.state.textContent = `Thinking ${this.#seconds()} s`;
  }

  #rest() {
    if (!this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    const isKnown = performance.now() - this.#began >= SHORTEST_MS;
    this.#parts.state.textContent = isKnown ? `Thought for ${this.#seconds()} s` : "Reasoning";
    this.#parts.box.toggleAttribute("data-thinks", false);
    if (!this.#isTheirs) this.#parts.box.open = false;
  }

  #seconds() {
    return Math.floor((performance.now() - this.#began) / 1000);
  }

  #clear() {
    const { box, text, state, size } = this.#parts;
    clearInterval(this.#timer);
    this.#timer = undefined;
    [this.#shown, this.#began, this.#isTheirs] = ["", null, false];
    box.hidden = true;
    box.open = false;
    box.removeAttribute("data-thinks");
    text.replaceChildren();
    state.textContent = "Reasoning";
    size.textContent = "";
  }
}
