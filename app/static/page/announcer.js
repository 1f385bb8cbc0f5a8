// The announcer: texts for screen readers. A state is announced at once, the answer by finished sentences, never by tokens.

const EVERY_MS = 5000;
const MOST_CHARACTERS = 400; // a screen reader that falls behind gets the newest text
const SENTENCE_END = /[.!?…。！？:]["'”’)\]]*(?=\s|$)|\n/g;
const MARKS = /[*_`#>|]+|\[([^\]]*)\]\([^)]*\)/g;

export class Announcer {
  #states;
  #sentences;
  #said = 0;
  #saidAt = 0;
  isWordy = true; // whether sentences of the answer are announced

  constructor(states, sentences) {
    this.#states = states;
    this.#sentences = sentences;
  }

  /** Announce a change of state. */
  state(words) {
    if (this.#states.textContent !== words) this.#states.textContent = words;
  }

  /** The text has grown: announce its finished sentences, if enough time has passed or the answer has ended. */
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

  /** Start with another text, of which this many characters need no announcement. */
  begin(length = 0) {
    this.#said = length;
    this.#saidAt = performance.now();
    this.#sentences.textContent = "";
  }
}

function lastSentenceEnd(text, from) {
  let end = from;
  const rest = text.slice(from, -1); // the next token may belong to the last word
  for (const match of rest.matchAll(SENTENCE_END)) end = from + match.index + match[0].length;
  return end;
}
