const SEATS = 4; // of the six connections that a browser opens to a server over HTTP/1.1

/**
 * Leave to hold a connection to a server open: all tabs of one origin have four together, so that other requests are
 * never kept waiting. It is a Web Lock, which the browser frees when the tab ends. Where there are no Web Locks, nobody is
 * denied.
 */
export class Seat {
  isDenied = false;
  #name;
  #onChange;
  #isWanted = false;
  #isAsking = false;
  #release;

  /** `onChange` is called when `isDenied` has changed. */
  constructor(server, onChange) {
    this.#name = `tokentail ${server}`;
    this.#onChange = onChange;
  }

  /** Ask for a seat, unless there is one; until the answer is there, it counts as given. */
  take() {
    this.#isWanted = true;
    if (!this.#isAsking && !this.#release && globalThis.navigator?.locks) this.#ask();
  }

  release() {
    this.#isWanted = this.isDenied = false;
    this.#release?.();
    this.#release = undefined;
  }

  async #ask() {
    this.#isAsking = true;
    let isTaken = false;
    for (let i = 0; i < SEATS && !isTaken; i += 1) isTaken = await this.#takes(i);
    this.#isAsking = false;
    if (!this.#isWanted) {
      this.release();
    } else if (this.isDenied === isTaken) {
      this.isDenied = !isTaken;
      this.#onChange();
    }
  }

  /** Resolves to whether this seat is free, and holds it then. */
  #takes(i) {
    return new Promise((resolve) => {
      const hold = (lock) => {
        resolve(lock !== null);
        return lock && new Promise((release) => (this.#release = release));
      };
      const asked = globalThis.navigator.locks.request(`${this.#name} ${i}`, { ifAvailable: true }, hold);
      asked.catch(() => resolve(true)); // this page may not use locks
    });
  }
}
