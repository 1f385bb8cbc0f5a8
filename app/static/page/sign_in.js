// Signing in exchanges a key for a cookie. The key is neither kept nor logged; its field is emptied in any case.

import { prefer, preference } from "./preferences.js";

const SIGNED_IN = "signed-in"; // means only that signing out may be useful

export class SignIn {
  #tokentail;
  #dialog;
  #out;
  #waiting = null;
  isPossible = true;

  /** `signedOut()` is called after a sign-out. The elements are those of the page. */
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

  /** The result of `ask`. If the server requires a key, `ask` is repeated after the person has signed in. */
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
      this.#waiting.promise.catch(() => {}); // waiting calls see the rejection; without one it must not count as unhandled
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
