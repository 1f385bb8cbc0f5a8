// The choice of a transport: a row of buttons, and below it a line that describes the chosen transport.

import { prefer, preference } from "./preferences.js";

const NOTES = {
  auto: "Automatic: SSE first; long or short polls where a proxy blocks streams.",
  sse: "SSE: one request; each token at once. Falls silent behind proxies that buffer.",
  websocket: "WebSocket: one connection; each token at once. Some proxies refuse it.",
  long: "Long poll: a GET that waits for news. Passes every proxy; headers each time.",
  short: "Short poll: a GET now and then. Cheapest to serve; tokens wait for the next.",
};
const titleOf = (name) => NOTES[name]?.split(":")[0] ?? name;

export class TransportChoice {
  #choices;
  #note;
  #chosen;

  /** `chosen(transport)` is called when the person has chosen. */
  constructor(group, note, chosen) {
    [this.#choices, this.#note, this.#chosen] = [[...group.querySelectorAll("input")], note, chosen];
    const last = preference("transport", "auto");
    for (const choice of this.#choices) choice.checked = choice.value === last;
    if (!this.#choices.some((choice) => choice.checked)) this.#choices[0].checked = true;
    group.addEventListener("change", () => this.#changed());
    this.begin();
  }

  get value() {
    return this.#choices.find((choice) => choice.checked).value;
  }

  /** Choose by index, from the left. */
  choose(place) {
    this.#choices[place].checked = true;
    this.#changed();
  }

  /** Another answer starts. */
  begin() {
    this.#note.textContent = NOTES[this.value];
  }

  /** Show the transport in use, and why it is not the chosen one. */
  moved(name, why) {
    this.#note.textContent = why ? `Now over ${titleOf(name)}: ${why}` : NOTES[this.value];
  }

  #changed() {
    prefer("transport", this.value);
    this.begin();
    this.#chosen(this.value);
  }
}
