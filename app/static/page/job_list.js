// The list of recent jobs. Each is a link, so it can be opened in another tab.

import { ago } from "./format.js";

/** The name of a job: the start of its prompt, if this page submitted it. */
export function jobTitle(view) {
  return view.metadata?.title || `${view.model} job`;
}

export class JobList {
  #list;
  #none;
  #open;
  #current = null;
  #views = [];

  /** `open(jobId)` is called for a job that was chosen. */
  constructor(list, none, open) {
    [this.#list, this.#none, this.#open] = [list, none, open];
    list.addEventListener("click", (event) => {
      const link = event.target.closest("a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      this.#open(link.dataset.job);
    });
  }

  /** Show these jobs, newest first. Entries that exist are reused, so nothing moves and the focus stays. */
  show(views) {
    this.#views = views;
    this.#none.hidden = views.length > 0;
    const known = new Map([...this.#list.children].map((item) => [item.firstChild.dataset.job, item]));
    const items = views.map((view) => fill(known.get(view.id) ?? emptyItem(view.id), view));
    items.forEach((item, place) => {
      if (this.#list.children[place] !== item) this.#list.insertBefore(item, this.#list.children[place] ?? null);
    });
    while (this.#list.children.length > items.length) this.#list.lastChild.remove();
    this.mark(this.#current);
  }

  /** Mark the job that is shown. */
  mark(jobId) {
    this.#current = jobId;
    for (const { firstChild: link } of this.#list.children) {
      if (link.dataset.job === jobId) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** The job this many entries after the one that is shown; null beyond the ends. */
  beside(step) {
    const place = this.#views.findIndex((view) => view.id === this.#current);
    return (place === -1 ? this.#views[0] : this.#views[place + step])?.id ?? null;
  }

  get hasOpen() {
    return this.#views.some((view) => view.status === "queued" || view.status === "running");
  }
}

function emptyItem(jobId) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = `?job=${encodeURIComponent(jobId)}`;
  link.dataset.job = jobId;
  for (const name of ["job-title", "job-about"]) {
    const part = document.createElement("span");
    part.className = name;
    link.append(part);
  }
  item.append(link);
  return item;
}

function fill(item, view) {
  const [title, about] = item.firstChild.children;
  item.firstChild.dataset.state = view.status;
  const texts = [jobTitle(view), `${view.status} · ${ago(view.created_at)}`];
  [title, about].forEach((part, place) => {
    if (part.textContent !== texts[place]) part.textContent = texts[place];
  });
  return item;
}
