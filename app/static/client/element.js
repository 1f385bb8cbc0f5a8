// @ts-self-types="./element.d.ts"
import { Tokentail } from "./tokentail.js";

const STATES = {
  waiting: "Waiting …", // nothing was read yet
  queued: "Waiting …",
  running: "Writing …",
  completed: "",
  failed: "Failed",
  cancelled: "Stopped",
};
const STYLE = ":host { display: block } [part=text] { white-space: pre-wrap; overflow-wrap: anywhere }";
const Element = globalThis.HTMLElement ?? class {}; // servers that render pages import this module, too

/**
 * `<tokentail-answer job="…">` shows a job's text as it comes, always as text, and its state. It has the attributes `job`,
 * `url`, `token` and, set by itself, `state`. When it leaves the page it only stops reading; back there, it resumes.
 */
export class TokentailAnswer extends Element {
  static observedAttributes = ["job", "url", "token"];
  text = "";
  /** The client to read with, in place of one made of `url` and `token`. */
  client = undefined;
  #cursor = "0";
  #reading;
  #shownText;
  #shownState;

  constructor() {
    super();
    const root = this.attachShadow({ mode: "open" });
    const style = new CSSStyleSheet(); // which a page's policy allows where it refuses inline styles
    style.replaceSync(STYLE);
    root.adoptedStyleSheets = [style];
    this.#shownText = part("div", "text");
    this.#shownState = part("p", "state");
    this.#shownState.setAttribute("role", "status");
    root.append(this.#shownText, this.#shownState);
  }

  connectedCallback() {
    this.#follow();
  }

  disconnectedCallback() {
    this.#reading?.abort();
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    this.#say("", true);
    this.#cursor = "0";
    if (this.isConnected) this.#follow();
  }

  /** Stop the job. */
  async cancel() {
    if (this.#jobId) await this.#client.cancel(this.#jobId);
  }

  get #jobId() {
    return this.getAttribute("job");
  }

  get #client() {
    const [url, token] = ["url", "token"].map((name) => this.getAttribute(name) ?? undefined);
    return this.client ?? new Tokentail({ url, token });
  }

  async #follow() {
    this.#reading?.abort();
    const job = this.#jobId;
    if (!job) return this.#tell("", "");
    const { signal } = (this.#reading = new AbortController());
    this.#tell("waiting", STATES.waiting);
    let state = "waiting";
    const onTrouble = (why) => signal.aborted || this.#tell(state, why ?? STATES[state]);
    try {
      for await (const step of this.#client.follow(job, { cursor: this.#cursor, signal, onTrouble })) {
        if (signal.aborted) return;
        this.#say(step.tokens.join(""), step.reset);
        this.#cursor = step.cursor;
        state = step.status;
        this.#tell(state, step.error ? `${STATES[state]}: ${step.error.message}` : STATES[state]);
        if (step.done) this.#end(step.status, step.error ?? null);
      }
    } catch (error) {
      if (signal.aborted) return;
      this.#tell("failed", error.message);
      this.#end("failed", { type: error.type ?? error.name, message: error.message });
    }
  }

  /** Add text at the end; a reset removes what was there. */
  #say(text, isReset) {
    if (isReset) this.#shownText.replaceChildren();
    this.text = (isReset ? "" : this.text) + text;
    if (text) this.#shownText.append(text); // a string becomes a text node, whatever it contains
  }

  #tell(state, words) {
    if (this.getAttribute("state") !== state) this.setAttribute("state", state);
    if (this.#shownState.textContent !== words) this.#shownState.textContent = words;
    this.#shownState.hidden = words === "";
  }

  #end(status, error) {
    this.dispatchEvent(new CustomEvent("tokentail-end", { bubbles: true, detail: { status, error, text: this.text } }));
  }
}

function part(tag, name) {
  const element = document.createElement(tag);
  element.setAttribute("part", name);
  return element;
}

if (globalThis.customElements && !customElements.get("tokentail-answer")) {
  customElements.define("tokentail-answer", TokentailAnswer);
}
