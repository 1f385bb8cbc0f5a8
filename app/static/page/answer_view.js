// The view of an answer: its text as Markdown, its reasoning folded, its tool calls and extras. It paints when `show`
// is called.

import { extrasMark } from "./extras.js";
import { showExtras } from "./extras_view.js";
import { count } from "./format.js";
import { MarkdownView } from "./markdown_view.js";

export class AnswerView {
  #parts;
  #markdown;
  #shown = { text: "", isDone: false, reasoning: "", extras: "" };

  /** The elements: text, reasoning, reasoningText, reasoningSize, toolCalls, extras, refusal. */
  constructor(parts) {
    this.#parts = parts;
    this.#markdown = new MarkdownView(parts.text);
  }

  /** Show the answer as it is now; null shows nothing. */
  show(answer) {
    const text = answer?.text ?? "";
    const isDone = Boolean(answer?.done);
    if (!text.startsWith(this.#shown.text)) this.#markdown.clear();
    if (isDone && !(this.#shown.isDone && text === this.#shown.text)) this.#markdown.finish(text);
    else if (text !== this.#shown.text) this.#markdown.show(text);
    this.#parts.text.setAttribute("aria-busy", String(Boolean(answer) && !answer.done));
    this.#showReasoning(answer?.reasoning ?? "");
    this.#showToolCalls(answer?.toolCalls ?? []);
    this.#parts.refusal.textContent = answer?.refusal ?? "";
    this.#parts.refusal.hidden = !answer?.refusal;
    const extras = extrasMark(answer);
    if (extras !== this.#shown.extras) showExtras(this.#parts.extras, answer?.extras ?? []);
    this.#shown = { text, isDone, reasoning: answer?.reasoning ?? "", extras };
  }

  #showReasoning(reasoning) {
    const { reasoning: box, reasoningText, reasoningSize } = this.#parts;
    if (reasoning === this.#shown.reasoning) return;
    box.hidden = !reasoning;
    const shown = reasoningText.firstChild ?? reasoningText.appendChild(document.createTextNode(""));
    if (reasoning.startsWith(shown.data)) shown.appendData(reasoning.slice(shown.data.length));
    else shown.data = reasoning;
    reasoningSize.textContent = `${count(reasoning.length)} characters`;
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
