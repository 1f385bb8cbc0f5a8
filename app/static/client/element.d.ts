import type { Failure, Status, Tokentail } from "./tokentail.js";

/**
 * `<tokentail-answer job="…" url="…" token="…">`: shows a job's text as it comes, and its state, which is also in the
 * attribute `state`. Its shadow parts are `text` and `state`.
 */
export class TokentailAnswer extends HTMLElement {
  /** The text so far. */
  readonly text: string;
  /** The client to read with, in place of one made of `url` and `token`; set it before `job`. */
  client: Tokentail | undefined;
  /** Stop the job. */
  cancel(): Promise<void>;
}

/** Dispatched once nothing more will come; it bubbles. */
export type TokentailEndEvent = CustomEvent<{ status: Status; error: Failure | null; text: string }>;

declare global {
  interface HTMLElementTagNameMap {
    "tokentail-answer": TokentailAnswer;
  }
  interface HTMLElementEventMap {
    "tokentail-end": TokentailEndEvent;
  }
}
