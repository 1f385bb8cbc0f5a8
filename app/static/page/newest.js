// Keeps the end of a growing answer in view while it is in view, and otherwise offers a button that scrolls back to it.
// Also offers a second stop button while the first one is out of view.

const MARGIN = 24;

export class Newest {
  #end;
  #button;
  #stop;
  #isStopInView = true;
  #wasInView = false;
  isGrowing = false;
  mayStop = true;

  constructor(end, button, stop, firstStop) {
    [this.#end, this.#button, this.#stop] = [end, button, stop];
    button.addEventListener("click", () => this.go());
    addEventListener("scroll", () => this.offer(), { passive: true });
    new IntersectionObserver(([seen]) => {
      this.#isStopInView = seen.isIntersecting;
      this.offer();
    }, { rootMargin: "-56px 0px 0px" }).observe(firstStop); // below the head of the page
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
    return this.#end.getBoundingClientRect().bottom + MARGIN - innerHeight;
  }

  /** Show the buttons that are useful now. */
  offer() {
    this.#stop.hidden = !this.isGrowing || !this.mayStop || this.#isStopInView;
    this.#button.hidden = !this.isGrowing || this.#below() <= MARGIN;
  }
}
