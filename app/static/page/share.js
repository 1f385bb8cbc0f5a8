// Sharing: a link with which this one job can be read, on any machine that reaches the server.

import { COPY_KEYS, copyText } from "./clipboard.js";

const LOOPBACK = /^(localhost|.*\.localhost|127(\.\d+){3}|\[::1\])$/;

export class Share {
  #parts;

  constructor(parts) {
    this.#parts = parts;
    const { link, copy, send } = parts;
    copy.addEventListener("click", async () => {
      link.select();
      copy.textContent = (await copyText(link.value, () => link.select())) ? "Copied" : COPY_KEYS;
    });
    if (navigator.share) {
      send.hidden = false;
      send.addEventListener("click", () => navigator.share({ title: "Tokentail", url: link.value }).catch(() => {}));
    }
  }

  /** Show the link that `POST …/share` gave. */
  show({ link, token, expires_at: expiresAt }) {
    const { dialog, note, link: field, copy } = this.#parts;
    const address = new URL(link, location.href);
    field.value = address.href;
    copy.textContent = "Copy link";
    const who = token
      ? `Anyone with this link can read this answer, live or later, until ${new Date(expiresAt).toLocaleString("en")}. It gives access to nothing else.`
      : "This server has no API keys: anyone who can reach it and has this link can read the answer.";
    const where = LOOPBACK.test(address.hostname)
      ? ` Other devices cannot open it: ${address.hostname} is the address of this computer for itself.`
      : "";
    note.textContent = who + where;
    dialog.showModal();
    field.select();
  }
}
