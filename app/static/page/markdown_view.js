// The Markdown view: shows a growing text, parsing again only what may still change: its last block.
//
// A block is settled once another has begun after it on a line that is complete: CommonMark opens no closed block again.
// (A line that is not complete may yet turn into something else: "#" begins a heading, "#a" goes on with a paragraph.)
// A block so long that reading it takes a moment is shown as it is, and the rest with it, until the answer ends.

import { morphChildren } from "./morph.js";
import { nodesOf, parse } from "./markdown_nodes.js";

const LONG = 20_000; // characters
const A_MOMENT_MS = 100;
const LINE_END = /\r\n|\r|\n/g;

export class MarkdownView {
  #element;
  #defined = {}; // the links that settled blocks define; one that still grows may have half an address
  #settled = 0; // characters of the text
  #blocks = 0; // the elements that show them
  #plain = null; // the text node of all that is not settled, once that is too long to be read again and again

  constructor(element) {
    this.#element = element;
  }

  /** Show this text, which begins with the one shown last. */
  show(text) {
    if (this.#plain) {
      this.#plain.appendData(text.slice(this.#settled + this.#plain.length));
      return;
    }
    const began = performance.now();
    this.#grow(text);
    const rest = text.length - this.#settled;
    if (rest > LONG && performance.now() - began > A_MOMENT_MS) this.#showPlain(text.slice(this.#settled));
  }

  #grow(text) {
    const rest = text.slice(this.#settled);
    const tokens = parse(rest, { references: { ...this.#defined } });
    morphChildren(this.#element, nodesOf(tokens), this.#blocks);
    this.#settle(rest, tokens);
  }

  #showPlain(rest) {
    const fragment = document.createDocumentFragment();
    const box = fragment.appendChild(document.createElement("div"));
    box.className = "plain";
    this.#plain = box.appendChild(document.createTextNode(rest));
    while (this.#element.children.length > this.#blocks) this.#element.lastChild.remove();
    this.#element.append(fragment);
  }

  #settle(rest, tokens) {
    const blocks = tokens.filter((token) => token.level === 0 && token.nesting !== -1);
    if (blocks.length < 2) return;
    const [begins, ends] = lineAt(rest, blocks.at(-1).map[0]);
    if (ends === null) return;
    const environment = { references: this.#defined };
    parse(rest.slice(0, begins), environment);
    this.#defined = environment.references;
    this.#settled += begins;
    this.#blocks += blocks.length - 1;
  }

  /** Show all of a text that grows no more: a link defined after its use, or a block too long, is read again now. */
  finish(text) {
    const environment = {};
    const tokens = parse(text, environment);
    const isDefined = Object.keys(environment.references ?? {}).length > 0;
    if (isDefined || this.#plain) morphChildren(this.#element, nodesOf(tokens));
    else this.#grow(text);
    this.#plain = null;
  }

  /** Show nothing, and begin anew. */
  clear() {
    this.#element.replaceChildren();
    this.#defined = {};
    this.#plain = null;
    this.#settled = 0;
    this.#blocks = 0;
  }
}

/** Where line `number` begins, and where it ends; null if its end has not come. */
function lineAt(text, number) {
  LINE_END.lastIndex = 0;
  let begins = 0;
  for (let line = 0; line < number; line += 1) {
    LINE_END.exec(text);
    begins = LINE_END.lastIndex;
  }
  return [begins, LINE_END.exec(text)?.index ?? null];
}
