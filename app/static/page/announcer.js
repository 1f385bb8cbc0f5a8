// The announcer: what a screen reader hears. States at once; of the answer finished sentences, a few at a time; never tokens.

const EVERY_MS = 5000;
const MOST_CHARACTERS = 400; // who falls behind hears the newest
const SENTENCE_END = /[.!?…。！？:]["'”’)\]]*(?=\s|$)|\n/g;
const MARKS = /[*_`#>|]+|\[([^\]]*)\]\([^)]*\)/g;

export class Announcer {
  #states;
  #sentences;
  #said = 0;
  #saidAt = 0;
  isWordy = true; // whether sentences are said at all

  constructor(states, sentences) {
    this.#states = states;
    this.#sentences = sentences;
  }

  /** Say that something has changed. */
  state(words) {
    if (this.#states.textContent !== words) this.#states.textContent = words;
  }

  /** The text has grown; say what has been finished, if it is time or the end. */
  heard(text, isEnd) {
    const now = performance.now();
    if (!this.isWordy || (!isEnd && now - this.#saidAt < EVERY_MS)) return;
    const upTo = isEnd ? text.length : lastSentenceEnd(text, this.#said);
    if (upTo <= this.#said) return;
    const words = text.slice(this.#said, upTo).replace(MARKS, "$1").trim();
    this.#said = upTo;
    this.#saidAt = now;
    this.#sentences.textContent = words.length > MOST_CHARACTERS ? `… ${words.slice(-MOST_CHARACTERS)}` : words;
  }

  /** Another text begins, of which this much has been seen. */
  begin(length = 0) {
    this.#said = length;
    this.#saidAt = performance.now();
    this.#sentences.textContent = "";
  }
}

function lastSentenceEnd(text, from) {
  let end = from;
  const rest = text.slice(from, -1); // what comes next may go on with the last word
  for (const match of rest.matchAll(SENTENCE_END)) end = from + match.index + match[0].length;
  return end;
}
