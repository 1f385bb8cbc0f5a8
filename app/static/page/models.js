// The choice of a model: a list of the served models. Where a provider's every model is served, a name can be typed; the
// demo is listed with two of its options, and a tiny model is called tiny.

import { prefer, preference } from "./preferences.js";

const SUFFIX = "*";
const DEMO = "demo";
/** The demo for a minute, which is long enough to compare the transports. */
export const MINUTE_DEMO = "demo?tokens=1200&tps=20";
const DEMO_LABELS = {
  [DEMO]: "demo (random words)", [MINUTE_DEMO]: "demo of a minute", "demo?reasoning=40": "demo?reasoning=40 (it thinks first)",
};
const TINY = "local"; // the provider whose model runs on this computer's CPU

export class ModelChoice {
  #select;
  #name;
  #field;
  #note;
  #tiny = new Set();

  /** `note` is the text about tiny models. */
  constructor(select, name, field, note) {
    [this.#select, this.#name, this.#field, this.#note] = [select, name, field, note];
    select.addEventListener("change", () => this.#chosen());
  }

  /** Offer the models in the response to `GET /v1/models`. */
  offer({ data, default: usual }) {
    this.#tiny = new Set(data.filter((model) => model.owned_by === TINY).map(({ id }) => id));
    const served = [usual, ...data.map(({ id }) => id)].filter(Boolean);
    const names = [...new Set(served.includes(DEMO) ? [...served, ...Object.keys(DEMO_LABELS)] : served)];
    const options = names.map((name) => new Option(this.#label(name), name));
    this.#select.replaceChildren(...(options.length ? options : [new Option("waiting for a worker…", "")]));
    const wanted = preference("model", usual);
    if (names.includes(wanted)) this.#select.value = wanted;
    this.#chosen();
  }

  /** The chosen model; undefined means the deployment's default. The server checks the name. */
  get value() {
    const chosen = this.#select.value;
    prefer("model", chosen);
    return (chosen.endsWith(SUFFIX) ? this.#name.value.trim() || chosen.slice(0, -1) : chosen) || undefined;
  }

  #label(name) {
    if (this.#tiny.has(name)) return `${name} (tiny, on this CPU)`;
    return DEMO_LABELS[name] ?? (name.endsWith(SUFFIX) ? `${name.slice(0, -1)}…` : name);
  }

  #chosen() {
    const chosen = this.#select.value;
    this.#note.hidden = !this.#tiny.has(chosen);
    const isOpen = chosen.endsWith(SUFFIX);
    this.#field.hidden = !isOpen;
    if (isOpen && !this.#name.value.startsWith(chosen.slice(0, -1))) this.#name.value = chosen.slice(0, -1);
  }
}
