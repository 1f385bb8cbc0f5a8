// The choice of a transport: a menu that folds into the words "via SSE". The words name the transport in use; where that
// is not the chosen one, a line below says why.

import { prefer, preference } from "./preferences.js";

const TITLES = { auto: "SSE", sse: "SSE", websocket: "WebSocket", long: "Long poll", short: "Short poll" };

/** A transport's name as people read it. */
export const titleOf = (name) => TITLES[name] ?? name;

export class TransportChoice {
  #menu;
  #choices;
  #name;
  #note;
  #chosen;

  /** The elements are those of the page. `chosen(transport)` is called when the person has chosen. */
  constructor({ menu, group, name, note }, chosen) {
    [this.#menu, this.#choices, this.#name, this.#note, this.#chosen] = [menu, [...group.querySelectorAll("input")], name, note, chosen];
    const last = preference("transport", "auto");
    for (const choice of this.#choices) choice.checked = choice.value === last;
    if (!this.#choices.some((choice) => choice.checked)) this.#choices[0].checked = true;
    group.addEventListener("change", () => this.#changed());
    this.#foldMenu(group);
    this.begin();
  }

  get value() {
    return this.#choices.find((choice) => choice.checked).value;
  }

  /** Choose by index, from the top. */
  choose(place) {
    this.#choices[place].checked = true;
    this.#changed();
  }

  /** Another answer starts. */
  begin() {
    this.#show(this.value, "");
  }

  /** Show the transport in use, and why it is not the chosen one. */
  moved(name, why) {
    this.#show(name, why);
  }

  #show(name, why) {
    this.#name.textContent = titleOf(name);
    this.#note.hidden = !why;
    this.#note.textContent = why ? `Now over ${titleOf(name)}: ${why}` : "";
  }

  #changed() {
    prefer("transport", this.value);
    this.begin();
    this.#chosen(this.value);
  }

  /** A click elsewhere, a choice by the mouse, and Escape fold the menu. Arrow keys choose and leave it open. */
  #foldMenu(group) {
    const menu = this.#menu;
    document.addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
    group.addEventListener("click", (event) => event.detail && event.target.matches("input") && (menu.open = false));
    menu.addEventListener("focusout", ({ relatedTarget }) => relatedTarget && !menu.contains(relatedTarget) && (menu.open = false));
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      event.preventDefault();
      menu.open = false;
      menu.querySelector("summary").focus();
    });
  }
}
