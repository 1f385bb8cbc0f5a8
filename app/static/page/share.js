// Sharing: a link with which this one job can be read, on any machine that reaches the server. The person chooses how long
// a new link works, and can revoke all that were made.

import { COPY_KEYS, copyText } from "./clipboard.js";

const LOOPBACK = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/;
const A_WEEK = "604800";

export class Share {
  #parts;
  #calls;
  #jobId;
  #asked = 0;

  /** `calls` are `make(jobId, expiresInS)`, which resolves to the response to `POST …/share`, and `revoke(jobId)`. */
  constructor(parts, calls) {
    [this.#parts, this.#calls] = [parts, calls];
    const { link, life, copy, send, revoke } = parts;
    copy.addEventListener("click", async () => {
      link.select();
      copy.textContent = (await copyText(link.value, () => link.select())) ? "Copied" : COPY_KEYS;
    });
    if (navigator.share) {
      send.hidden = false;
      send.addEventListener("click", () => navigator.share({ title: "Tokentail", url: link.value }).catch(() => {}));
    }
    life.addEventListener("change", () => this.#make().catch((error) => this.#tell(error)));
    revoke.addEventListener("click", () => this.#revoke().catch((error) => this.#tell(error)));
  }

  /** Show a new link to the job, for a week. Rejects if there is none. */
  async open(jobId) {
    const { dialog, life, link } = this.#parts;
    this.#jobId = jobId;
    life.value = A_WEEK;
    await this.#make();
    if (!dialog.open) dialog.showModal();
    link.select();
  }

  async #make() {
    const asked = this.#begin();
    const made = await this.#calls.make(this.#jobId, Number(this.#parts.life.value));
    if (asked === this.#asked) this.#show(made);
  }

  async #revoke() {
    const { life, note } = this.#parts;
    this.#begin();
    await this.#calls.revoke(this.#jobId);
    life.selectedIndex = -1; // so that each choice makes a new link
    life.focus();
    note.textContent = "No link to this answer works any more. To make a new one, choose how long it works.";
  }

  /** Remove the link that is shown: a new one will replace it, or none. Returns the number of this change. */
  #begin() {
    const { link, copy, send, revoke } = this.#parts;
    link.value = "";
    copy.textContent = "Copy link";
    for (const button of [copy, send, revoke]) button.disabled = true;
    return (this.#asked += 1);
  }

  #show({ link: path, token, expires_at: expiresAt }) {
    const { note, link, lifeField, copy, send, revoke } = this.#parts;
    const address = new URL(path, location.href);
    link.value = address.href;
    copy.disabled = send.disabled = revoke.disabled = false;
    lifeField.hidden = revoke.hidden = !token; // without a token, the job's id is enough for ever
    const who = token
      ? `Anyone with this link can read this answer, live or later, until ${new Date(expiresAt).toLocaleString("en")}. It gives access to nothing else.`
      : "This server has no API keys: anyone who can reach it and has this link can read the answer.";
    const where = LOOPBACK.test(address.hostname)
      ? ` Other devices cannot open it: ${address.hostname} is the address of this computer for itself.`
      : "";
    note.textContent = who + where;
  }

  #tell(error) {
    this.#parts.note.textContent = error.detail ?? error.message;
    this.#parts.revoke.disabled = false;
  }
}
