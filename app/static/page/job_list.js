// The list of jobs: search, read, delete. Each is a link, so it can be opened in another tab.

import { ago, until } from "./format.js";

const SURE_MS = 4000; // how long a second press deletes

/** The name of a job: the start of its prompt, or for a job without a title its model and time. */
export function jobTitle(view) {
  return view.metadata?.title || `${view.model}, ${new Date(view.created_at).toLocaleTimeString("en", { timeStyle: "short" })}`;
}

export class JobList {
  #parts;
  #to;
  #current = null;
  #views = [];

  /** The elements: list, none, search. It calls `to.open(jobId)` and `to.remove(jobId)`. */
  constructor(parts, to) {
    [this.#parts, this.#to] = [parts, to];
    parts.list.addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) return this.#remove(button);
      const link = event.target.closest("a");
      if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
      event.preventDefault();
      this.#to.open(link.dataset.job);
    });
    parts.search.addEventListener("input", () => this.#fill());
  }

  /** Show these jobs, newest first. */
  show(views) {
    this.#views = views;
    this.#parts.search.hidden = views.length < 2 && !this.#parts.search.value;
    this.#fill();
  }

  /** Mark the job that is shown. */
  mark(jobId) {
    this.#current = jobId;
    for (const { firstChild: link } of this.#parts.list.children) {
      if (link.dataset.job === jobId) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /** The listed job this many entries after the one that is shown; null beyond the ends. */
  beside(step) {
    const views = this.#found();
    const place = views.findIndex((view) => view.id === this.#current);
    return (place === -1 ? views[0] : views[place + step])?.id ?? null;
  }

  get hasOpen() {
    return this.#views.some((view) => view.status === "queued" || view.status === "running");
  }

  #found() {
    const wanted = this.#parts.search.value.trim().toLowerCase();
    return this.#views.filter((view) => `${jobTitle(view)} ${view.model} ${view.status}`.toLowerCase().includes(wanted));
  }

  /** Entries that exist are reused, so nothing moves and the focus stays. */
  #fill() {
    const { list, none } = this.#parts;
    const views = this.#found();
    none.hidden = views.length > 0;
    none.textContent = this.#views.length ? "No job has these words." : "None yet. Your jobs are listed here until they expire.";
    const known = new Map([...list.children].map((item) => [item.firstChild.dataset.job, item]));
    const items = views.map((view) => fill(known.get(view.id) ?? emptyItem(view.id), view));
    items.forEach((item, place) => {
      if (list.children[place] !== item) list.insertBefore(item, list.children[place] ?? null);
    });
    while (list.children.length > items.length) list.lastChild.remove();
    this.mark(this.#current);
  }

  /** The first press asks, the second deletes. */
  #remove(button) {
    if (button.dataset.sure === undefined) {
      button.dataset.sure = "";
      button.textContent = "Delete?";
      button.setAttribute("aria-label", `Press again: ${button.getAttribute("aria-label")}`);
      setTimeout(() => this.#fill(settle(button)), SURE_MS);
      return;
    }
    const next = button.parentNode.nextSibling ?? button.parentNode.previousSibling;
    (next?.firstChild ?? this.#parts.search).focus();
    this.#to.remove(button.parentNode.firstChild.dataset.job);
  }
}

function settle(button) {
  delete button.dataset.sure;
  button.textContent = "✕";
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
  const button = document.createElement("button");
  button.type = "button";
  settle(button);
  item.append(link, button);
  return item;
}

function fill(item, view) {
  const [link, button] = item.children;
  const [title, about] = link.children;
  link.dataset.state = view.status;
  const texts = [jobTitle(view), [view.status, ago(view.created_at), view.expires_at && `kept ${until(view.expires_at).slice(3)}`].filter(Boolean).join(" · ")];
  [title, about].forEach((part, place) => {
    if (part.textContent !== texts[place]) part.textContent = texts[place];
  });
  if (button.dataset.sure === undefined) button.setAttribute("aria-label", `Delete ${texts[0]}`);
  return item;
}
