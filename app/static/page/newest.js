// Keeps the end of a growing answer in view while it is in view, and otherwise offers a button that scrolls back to it.

const MARGIN = 12;

export class Newest {
  #end;
  #button;
  #pinned;
  #wasInView = false;
  isGrowing = false;

  /** `pinned` is the element that covers the bottom of the window. */
  constructor(end, button, pinned) {
    [this.#end, this.#button, this.#pinned] = [end, button, pinned];
    button.addEventListener("click", () => this.go());
    new ResizeObserver(() => document.documentElement.style.setProperty("--pinned", `${pinned.offsetHeight}px`)).observe(pinned);
    addEventListener("scroll", () => this.offer(), { passive: true });
  }

  /** Must be called before the answer grows. */
  before() {
    this.#wasInView = this.#below() <= MARGIN; // zoomed pages scroll to fractions of a pixel
  }

  /** Must be called after the answer has grown. */
  after() {
    const below = this.#below();
    if (this.#wasInView && below > 0) scrollBy({ top: below, behavior: "instant" });
    this.offer();
  }

  go() {
    scrollBy({ top: this.#below(), behavior: "instant" });
  }

  #below() {
    return this.#end.getBoundingClientRect().bottom + MARGIN - innerHeight + this.#pinned.offsetHeight;
  }

  /** Show the button if it is useful now. */
  offer() {
    this.#button.hidden = !this.isGrowing || this.#below() <= MARGIN;
  }
}
