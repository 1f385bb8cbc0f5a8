// Sharing: a link with which this one job can be read, on any machine that reaches the server.

export class Share {
  #parts;

  constructor(parts) {
    this.#parts = parts;
    const { link, copy, send } = parts;
    copy.addEventListener("click", async () => {
      link.select();
      await navigator.clipboard.writeText(link.value);
      copy.textContent = "Copied";
    });
    if (navigator.share) {
      send.hidden = false;
      send.addEventListener("click", () => navigator.share({ title: "Tokentail", url: link.value }).catch(() => {}));
    }
  }

  /** Show the link that `POST …/share` gave. */
  show({ link, token, expires_at: expiresAt }) {
    const { dialog, note, link: field, copy } = this.#parts;
    field.value = new URL(link, location.href).href;
    copy.textContent = "Copy link";
    note.textContent = token
      ? `Whoever has the link can read this answer until ${new Date(expiresAt).toLocaleString("en")}, live or later, and nothing else.`
      : "This server asks for no keys: whoever reaches it and has the link can read the answer.";
    dialog.showModal();
    field.select();
  }
}
