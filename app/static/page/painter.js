// A painter: paints at most once a frame, then pauses in proportion to the time that painting took.
//
// So painting takes at most a fifth of the time, and even an endless block cannot make the page unresponsive.

const REST = 4; // pause per painting time

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
