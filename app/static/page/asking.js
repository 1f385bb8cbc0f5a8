// Asking: makes a request of what a person wrote or chose, and sends it. One question is under way at a time.

import { MINUTE_DEMO } from "./models.js";

const TITLE_CHARACTERS = 120;
const RACE_PROMPT = "A minute of random words, to compare the four transports";

export class Asking {
  #prompt;
  #longest;
  #parts;
  #sent;
  #isUnderWay = false; // the button stays enabled meanwhile, because a disabled button loses the focus

  /** It calls `sent(jobId, prompt, isCompared)`; without an id if the page shows another job by then. */
  constructor({ prompt, longest }, parts, sent) {
    [this.#prompt, this.#longest, this.#parts, this.#sent] = [prompt, longest, parts, sent];
  }

  /** Ask what the prompt has. */
  ask() {
    const prompt = this.#prompt.value.trim();
    if (!prompt || this.#isUnderWay) return this.#prompt.focus();
    const request = { prompt, model: this.#parts.models.value };
    const longest = this.#longest.valueAsNumber;
    if (!Number.isNaN(longest)) request.max_tokens = longest;
    this.#prompt.value = "";
    this.send({ prompt, request });
  }

  /** Ask the shown question once more, of the same model. */
  again() {
    const { job } = this.#parts;
    const prompt = this.#shownPrompt;
    const request = job.request ?? { prompt, model: job.view?.model ?? this.#parts.models.value };
    if (prompt) this.send({ prompt, request });
  }

  /** Put the shown question into the prompt. */
  edit() {
    this.#prompt.value = this.#shownPrompt;
    this.#prompt.focus();
  }

  /** Ask for the demo of a minute, and let all four transports read it. */
  race() {
    this.send({ prompt: RACE_PROMPT, request: { prompt: RACE_PROMPT, model: MINUTE_DEMO } }, true);
  }

  /** Send a request. While the server is away it is kept; if it is refused or discarded, its prompt comes back. */
  async send({ prompt, request, ...kept }, isCompared = false) {
    if (this.#isUnderWay) return;
    const { job, outbox, screen } = this.#parts;
    screen.notice(null);
    this.#isUnderWay = true;
    const shown = job.answer?.jobId;
    const title = prompt.replace(/\s+/g, " ").slice(0, TITLE_CHARACTERS);
    try {
      const submitted = await outbox.send({ prompt, request: { ...request, metadata: { title } }, ...kept });
      if (submitted) this.#sent(job.answer?.jobId === shown ? submitted.id : null, prompt, isCompared);
      else this.#prompt.value ||= prompt;
    } catch (error) {
      this.#prompt.value ||= prompt;
      screen.notice(error);
      this.#prompt.focus();
    } finally {
      this.#isUnderWay = false;
    }
  }

  get #shownPrompt() {
    const { prompt, view } = this.#parts.job;
    return prompt || view?.metadata?.title || "";
  }
}
