// The view of an answer: its text as Markdown, its reasoning, tool calls and extras. It paints when `show` is called.
//
// The parser of Markdown is three quarters of what the page weighs, so it is loaded with the first answer. An answer that
// is faster is shown as plain text until then.

import { extrasMark } from "./extras.js";
import { showExtras } from "./extras_view.js";
import { ReasoningView } from "./reasoning_view.js";

const AGAIN_MS = 2000;
let loading = null;
let failedAt = -Infinity;

/** Load the parser of Markdown, if that has not begun yet. Resolves to its module, or null where the server is away. */
export function loadMarkdown() {
  if (!loading && performance.now() - failedAt > AGAIN_MS) {
    loading = import("./markdown_view.js").catch(() => {
      [loading, failedAt] = [null, performance.now()];
      return null;
    });
  }
  return loading ?? Promise.resolve(null);
}

export class AnswerView {
  #parts;
  #markdown = null;
  #reasoning;
  #loaded;
  #timer;
  #shown = { text: "", isDone: false, extras: "" };

  /** The elements: text, reasoning (elements of its own), toolCalls, extras, refusal. `loaded()` asks for a painting. */
  constructor(parts, loaded) {
    [this.#parts, this.#loaded] = [parts, loaded];
    this.#reasoning = new ReasoningView(parts.reasoning);
  }

  /** Show the answer as it is now; null shows nothing. */
  show(answer) {
    const text = answer?.text ?? "";
    const isDone = Boolean(answer?.done);
    this.#showText(text, isDone);
    this.#parts.text.setAttribute("aria-busy", String(Boolean(answer) && !answer.done));
    this.#reasoning.show(answer?.reasoning ?? "", Boolean(answer) && !isDone && !text && answer.status === "running");
    this.#showToolCalls(answer?.toolCalls ?? []);
    this.#parts.refusal.textContent = answer?.refusal ?? "";
    this.#parts.refusal.hidden = !answer?.refusal;
    const extras = extrasMark(answer);
    if (extras !== this.#shown.extras) showExtras(this.#parts.extras, answer?.extras ?? []);
    this.#shown = { text, isDone, extras };
  }

  #showText(text, isDone) {
    if (!this.#markdown) {
      if (text) this.#load();
      if (this.#parts.text.textContent !== text) this.#parts.text.textContent = text;
      return;
    }
    if (!text.startsWith(this.#shown.text)) this.#markdown.clear();
    if (isDone && !(this.#shown.isDone && text === this.#shown.text)) this.#markdown.finish(text);
    else if (text !== this.#shown.text) this.#markdown.show(text);
  }

  #load() {
    loadMarkdown().then((loaded) => {
      if (this.#markdown) return;
      if (!loaded) return this.#loadLater();
      const { MarkdownView } = loaded;
      this.#parts.text.replaceChildren();
      this.#markdown = new MarkdownView(this.#parts.text);
      this.#shown.text = "";
      this.#shown.isDone = false;
      this.#loaded();
    });
  }

  /** The next painting tries again. */
  #loadLater() {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#loaded();
    }, AGAIN_MS);
  }

  #showToolCalls(calls) {
    const { toolCalls: box } = this.#parts;
    while (box.children.length > calls.length) box.lastChild.remove();
    calls.forEach((call, place) => {
      const shown = box.children[place] ?? box.appendChild(emptyCall());
      const [name, written] = [shown.querySelector(".tool-name"), shown.querySelector("code")];
      name.textContent = call.name || "(no name yet)";
      const text = readable(call.arguments);
      if (written.textContent !== text) written.textContent = text;
    });
  }
}

function emptyCall() {
  const box = document.createElement("section");
  box.className = "tool-call";
  box.setAttribute("aria-label", "Tool call");
  const head = document.createElement("p");
  const name = document.createElement("strong");
  name.className = "tool-name";
  head.append("The model asks for the tool ", name);
  const written = document.createElement("pre");
  written.tabIndex = 0;
  written.setAttribute("role", "region");
  written.setAttribute("aria-label", "Arguments");
  written.append(document.createElement("code"));
  box.append(head, written);
  return box;
}

/** The arguments, indented once they are complete JSON. */
function readable(written) {
  try {
    return JSON.stringify(JSON.parse(written), null, 2);
  } catch {
    return written;
  }
}
