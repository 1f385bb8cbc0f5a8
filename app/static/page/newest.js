// The newest: keeps the end of a growing answer in view for whoever has it in view, and offers the way back to others.

const MARGIN = 24;

export class Newest {
  #end;
  #button;
  #wasInView = false;

  constructor(end, button) {
    [this.#end, this.#button] = [end, button];
    button.addEventListener("click", () => this.go());
    addEventListener("scroll", () => this.#offer(), { passive: true });
    this.isGrowing = false;
  }

  /** Call it before the answer grows. */
  before() {
    this.#wasInView = this.#below() <= 0;
  }

  /** Call it after. */
  after() {
    const below = this.#below();
    if (this.#wasInView && below > 0) scrollBy({ top: below, behavior: "instant" });
    this.#offer();
  }

  go() {
    scrollBy({ top: this.#below(), behavior: "instant" });
  }

  #below() {
    return this.#end.getBoundingClientRect().bottom + MARGIN - innerHeight;
  }

  #offer() {
    this.#button.hidden = !this.isGrowing || this.#below() <= MARGIN;
  }
}
