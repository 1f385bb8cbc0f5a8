// The choice of a model: a list of the served models. Where a provider's every model is served, a name can be typed.

import { prefer, preference } from "./preferences.js";

const SUFFIX = "*";

export class ModelChoice {
  #select;
  #name;
  #field;

  constructor(select, name, field) {
    [this.#select, this.#name, this.#field] = [select, name, field];
    select.addEventListener("change", () => this.#chosen());
  }

  /** Offer the models in the response to `GET /v1/models`. */
  offer({ data, default: usual }) {
    const names = [...new Set([usual, ...data.map(({ id }) => id)])].filter(Boolean);
    const options = names.map((name) => new Option(name.endsWith(SUFFIX) ? `${name.slice(0, -1)}…` : name, name));
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

  #chosen() {
    const chosen = this.#select.value;
    const isOpen = chosen.endsWith(SUFFIX);
    this.#field.hidden = !isOpen;
    if (isOpen && !this.#name.value.startsWith(chosen.slice(0, -1))) this.#name.value = chosen.slice(0, -1);
  }
}
