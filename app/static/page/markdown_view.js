// The Markdown view shows a growing text. It parses again only the part that may still change: the last block.
//
// A block is settled once a complete line after it has started another block: CommonMark never reopens a closed block.
// (An incomplete line may still change its meaning: "#" starts a heading, "#a" continues a paragraph.)
// A block that takes long to parse is shown as plain text, with all that follows it, until the answer ends.

import { morphChildren } from "./morph.js";
import { nodesOf, parse } from "./markdown_nodes.js";

const LONG = 20_000; // characters
const A_MOMENT_MS = 100;
const LINE_END = /\r\n|\r|\n/g;

export class MarkdownView {
  #element;
  #defined = {}; // the link definitions of settled blocks; in a growing block an address may be incomplete
  #settled = 0; // characters of the text
  #blocks = 0; // the number of elements that show the settled text
  #plain = null; // the text node of the unsettled rest, once that is too long to be parsed at each step

  constructor(element) {
    this.#element = element;
  }

  /** Show this text, which starts with the text that was shown last. */
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

  /** Show a text that has ended: it is parsed once more as a whole, for long blocks and links defined after their use. */
  finish(text) {
    const environment = {};
    const tokens = parse(text, environment);
    const isDefined = Object.keys(environment.references ?? {}).length > 0;
    if (isDefined || this.#plain) morphChildren(this.#element, nodesOf(tokens));
    else this.#grow(text);
    this.#plain = null;
  }

  /** Clear the view for another text. */
  clear() {
    this.#element.replaceChildren();
    this.#defined = {};
    this.#plain = null;
    this.#settled = 0;
    this.#blocks = 0;
  }
}

/** Start and end of line `number`; the end is null while the line is incomplete. */
function lineAt(text, number) {
  LINE_END.lastIndex = 0;
  let begins = 0;
  for (let line = 0; line < number; line += 1) {
    LINE_END.exec(text);
    begins = LINE_END.lastIndex;
  }
  return [begins, LINE_END.exec(text)?.index ?? null];
}
