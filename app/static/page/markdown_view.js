// The Markdown view: shows a growing text, parsing again only what may still change: its last block.
//
// A block is settled once another has begun after it on a line that is complete: CommonMark opens no closed block again.
// (A line that is not complete may yet turn into something else: "#" begins a heading, "#a" goes on with a paragraph.)

import { morphChildren } from "./morph.js";
import { nodesOf, parse } from "./markdown_nodes.js";

const LINE_END = /\r\n|\r|\n/g;

export class MarkdownView {
  #element;
  #defined = {}; // the links that settled blocks define; one that still grows may have half an address
  #settled = 0; // characters of the text
  #blocks = 0; // the elements that show them

  constructor(element) {
    this.#element = element;
  }

  /** Show this text, which begins with the one shown last. */
  show(text) {
    const rest = text.slice(this.#settled);
    const tokens = parse(rest, { references: { ...this.#defined } });
    morphChildren(this.#element, nodesOf(tokens), this.#blocks);
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

  /** Show all of a text that grows no more. Only a link defined after its use makes a difference. */
  finish(text) {
    const environment = {};
    const tokens = parse(text, environment);
    if (Object.keys(environment.references ?? {}).length) morphChildren(this.#element, nodesOf(tokens));
    else this.show(text);
  }

  /** Show nothing, and begin anew. */
  clear() {
    this.#element.replaceChildren();
    this.#defined = {};
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
