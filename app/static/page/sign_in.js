// Signing in: a key is traded for a cookie at once. It is neither kept nor logged; the field is emptied in any case.

import { prefer, preference } from "./preferences.js";

const SIGNED_IN = "signed-in"; // says only that a sign-out may be of use

export class SignIn {
  #tokentail;
  #dialog;
  #out;
  #waiting = null;
  isPossible = true;

  /** `signedOut()` is called after that. The elements are those of the page. */
  constructor(tokentail, { dialog, form, key, problem, out }, signedOut) {
    [this.#tokentail, this.#dialog, this.#out] = [tokentail, dialog, out];
    out.hidden = preference(SIGNED_IN, null) === null;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      problem.hidden = true;
      const sent = key.value.trim();
      key.value = "";
      try {
        await tokentail.openSession(sent);
      } catch (error) {
        problem.textContent = error.status === 401 ? "This server does not know that key." : error.message;
        problem.hidden = false;
        key.focus();
        return;
      }
      prefer(SIGNED_IN, "1");
      out.hidden = false;
      dialog.close();
      this.#waiting?.resolve();
      this.#waiting = null;
    });
    dialog.addEventListener("close", () => {
      this.#waiting?.reject(Object.assign(new Error("Not signed in."), { status: 401 }));
      this.#waiting = null;
    });
    out.addEventListener("click", async () => {
      await tokentail.closeSession();
      prefer(SIGNED_IN, null);
      out.hidden = true;
      signedOut();
    });
  }

  /** What `ask` gives; where the server wants a key, after somebody has signed in. Raises what `ask` raises else. */
  async around(ask) {
    try {
      return await ask();
    } catch (error) {
      if (error.status !== 401 || !this.isPossible) throw error;
    }
    await this.#asked();
    return ask();
  }

  #asked() {
    if (!this.#waiting) {
      this.#waiting = Promise.withResolvers?.() ?? withResolvers();
      this.#waiting.promise.catch(() => {}); // whoever waits is told; nobody may be waiting
      this.#dialog.showModal();
    }
    return this.#waiting.promise;
  }
}

function withResolvers() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}
