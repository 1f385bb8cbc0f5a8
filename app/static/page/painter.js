// A painter: paints once a frame at most, and rests in proportion to what painting takes.
//
// Whatever comes, and however long it gets, painting takes a fifth of the time: an endless block cannot stop the page.

const REST = 4; // times as long as the last painting took

export class Painter {
  #paint;
  #isAsked = false;
  #restsUntil = 0;

  constructor(paint) {
    this.#paint = paint;
  }

  /** Paint soon. */
  ask() {
    if (this.#isAsked) return;
    this.#isAsked = true;
    const rest = this.#restsUntil - performance.now();
    if (rest > 0) setTimeout(() => requestAnimationFrame(() => this.now()), rest);
    else requestAnimationFrame(() => this.now());
  }

  /** Paint at once. */
  now() {
    this.#isAsked = false;
    const began = performance.now();
    this.#paint();
    const ended = performance.now();
    this.#restsUntil = ended + REST * (ended - began);
  }
}
