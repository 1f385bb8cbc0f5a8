// The newest: keeps the end of a growing answer in view for whoever has it in view, and offers the way back to others; and
// the other stop button, while the first one is out of view.

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

  /** Call it before the answer grows. */
  before() {
    this.#wasInView = this.#below() <= MARGIN; // who scrolls to fractions of a pixel stays, too
  }

  /** Call it after. */
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

  /** Show the buttons that are of use now. */
  offer() {
    this.#stop.hidden = !this.isGrowing || !this.mayStop || this.#isStopInView;
    this.#button.hidden = !this.isGrowing || this.#below() <= MARGIN;
  }
}
