// The outbox: a question that could not be sent because the server or its Redis is away. It is kept in this tab, also over
// a reload, and sent as soon as it can be. Its idempotency key makes all attempts one job.

import { awayWords } from "./failure.js";

const PLACE = "tokentail.outbox";
const SOON_MS = 1500; // a submission that takes longer than this is called kept
const AGAIN_MS = 2000;

/** Whether the same request may succeed later: there was no response, or the server could not serve it now. */
const isAway = ({ status }) => !status || status >= 500;

export class Outbox {
  #submit;
  #parts;
  #abort = null;

  /** `submit(request, {idempotencyKey, signal})` resolves to the job. The elements: box, words, drop. */
  constructor(submit, parts) {
    [this.#submit, this.#parts] = [submit, parts];
    parts.drop.addEventListener("click", () => this.#abort?.abort());
  }

  /** The question that waits since before the page was loaded; null without one. */
  get waiting() {
    try {
      return JSON.parse(sessionStorage.getItem(PLACE));
    } catch {
      return null; // storage is refused, or the text is not ours
    }
  }

  /** Send this, however long it takes. Resolves to the job, or null if the person discards it; rejects if it is refused. */
  async send(letter) {
    const kept = { idempotencyKey: crypto.getRandomValues(new Uint32Array(4)).join("-"), ...letter };
    const { signal } = (this.#abort = new AbortController());
    this.#keep(kept);
    const timer = setTimeout(() => this.#tell(kept), SOON_MS);
    try {
      for (;;) {
        try {
          return await this.#submit(kept.request, { idempotencyKey: kept.idempotencyKey, signal });
        } catch (error) {
          if (signal.aborted) return null;
          if (!isAway(error)) throw error;
          this.#tell(kept, error);
        }
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
        if (signal.aborted) return null;
      }
    } finally {
      clearTimeout(timer);
      this.#parts.box.hidden = true;
      this.#keep(null);
    }
  }

  #tell({ prompt }, error) {
    const { box, words } = this.#parts;
    const start = prompt.length > 60 ? `${prompt.slice(0, 60)}…` : prompt;
    words.textContent = `${awayWords(error)} “${start}” is kept, and sent as soon as ${error?.status ? "it can be" : "it does"}.`;
    box.hidden = false;
  }

  #keep(kept) {
    try {
      if (kept) sessionStorage.setItem(PLACE, JSON.stringify(kept));
      else sessionStorage.removeItem(PLACE);
    } catch {
      // Storage is refused or full: the question waits while the page is open.
    }
  }
}
