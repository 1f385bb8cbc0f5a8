// The watched job: the job that the page shows. It holds what is known of the job, and nothing of its presentation.

import { advance, emptyAnswer } from "./answer.js";
import { Comparison } from "./comparison.js";
import { Costs } from "./costs.js";
import { awayWords } from "./failure.js";
import { keep, takeUp } from "./kept.js";
import { Pace } from "./pace.js";
import { Reading } from "./reading.js";

const PROBLEM_STATES = { 401: "refused", 403: "refused", 404: "missing", 410: "gone" };
const VIEW_EVERY_MS = 1000; // while it is queued, because its queue position changes
const AGAIN_MS = 2000; // while the server or its Redis is away

export class WatchedJob {
  answer = null; // null while no job is watched
  view = null; // the latest response to GET /v1/jobs/{id}
  prompt = "";
  request = null; // what the server says was asked, for a job that this tab did not submit
  mayRecall = true; // a share link's reader may not
  problem = null; // the error that ended the reading
  trouble = ""; // why nothing can be read for now; reading goes on by itself
  comparison = null;
  replay = null; // while an ended answer is read once more: {transport, before, began}
  pace = new Pace();
  costs = new Costs();

  #tokentail;
  #impatient;
  #signIn;
  #transport;
  #to;
  #reading = null;
  #viewTimer;
  #isFirstAsked = false;

  /**
   * `impatient` does not repeat calls by itself. `transport()` is the chosen one. It calls `to`: `began()`,
   * `grew(isReset)`, `changed()` of anything but the text, `moved(transport, why)`, `ended()`, `replayed({transport, tookMs, isSame})`.
   */
  constructor(tokentail, impatient, signIn, transport, to) {
    [this.#tokentail, this.#impatient, this.#signIn, this.#transport, this.#to] = [tokentail, impatient, signIn, transport, to];
  }

  get isOpen() {
    return Boolean(this.answer) && !this.answer.done && !this.problem && !this.replay;
  }

  get state() {
    if (this.problem) return PROBLEM_STATES[this.problem.status] ?? "failed";
    return this.answer?.status ?? "idle";
  }

  /** Watch this job instead, from its kept cursor on; null means no job. */
  begin(jobId, prompt = null) {
    this.#reading?.stop();
    this.comparison?.stop();
    const kept = jobId ? takeUp(jobId) : { answer: null, prompt: "" };
    Object.assign(this, { ...kept, view: null, request: null, problem: null, trouble: "", comparison: null, replay: null, pace: new Pace() });
    if (prompt !== null) this.prompt = prompt;
    this.#reading = null;
    this.#isFirstAsked = false;
    this.costs.clear();
    this.#to.began();
    if (!jobId) return;
    const looked = this.#look();
    if (this.answer.done) return;
    const reading = (this.#reading = this.#newReading());
    if (prompt !== null) this.readOn();
    // The id in an address may be wrong, so one request checks that the job exists.
    else looked.then(() => reading === this.#reading && !this.problem && this.readOn());
  }

  /** Continue from the cursor, by the transport that is chosen now. */
  readOn() {
    for (const cost of Object.values(this.costs.of)) this.costs.isMeasured || cost.begins();
    this.#reading?.over(this.#transport());
  }

  /** Let all four transports read the rest of the answer, each for itself. */
  compare() {
    if (!this.isOpen || this.comparison) return;
    const ended = () => {
      this.comparison = null;
      this.#to.changed();
    };
    this.comparison = new Comparison(this.#tokentail, this.answer.jobId, this.answer.cursor, this.costs, ended);
    this.#to.changed();
  }

  /** Read an ended answer once more from its beginning, by this transport. */
  readAgain(transport) {
    if (!this.answer?.done || this.problem) return;
    const { jobId, status } = this.answer;
    this.replay = { transport, before: this.answer, began: performance.now() };
    if (this.costs.isMeasured) this.costs.clear();
    this.costs.restart(transport);
    this.answer = { ...emptyAnswer(jobId), status };
    this.pace = new Pace();
    this.#reading = this.#newReading();
    this.#reading.over(transport);
    this.#to.changed();
  }

  /** Keep the answer, so that a reload continues it. */
  keep() {
    if (this.answer) keep(this.replay?.before ?? this.answer, this.prompt);
  }

  #newReading() {
    const { costs } = this;
    const to = {
      step: (step) => this.#step(step),
      traffic: (traffic) => costs.isMeasured || costs.traffic(traffic),
      transport: (name, why) => this.#moved(name, why),
      trouble: (why) => (why ? this.#look() : this.#isInTrouble("")), // what the server says of itself is in the job's view
      failed: (error) => this.#failed(error),
    };
    return new Reading(this.#tokentail, this.answer.jobId, this.answer.cursor, to, { events: true });
  }

  #step(step) {
    const { answer } = this;
    const [state, hadText] = [answer.status, Boolean(answer.text)];
    const { tokens, isReset } = advance(answer, step);
    this.#isInTrouble("");
    const now = performance.now();
    this.pace.add(tokens, now);
    if (!this.costs.isMeasured) this.costs.of[step.transport]?.brought(tokens, now);
    const isFirst = tokens > 0 && !this.#isFirstAsked;
    this.#isFirstAsked ||= isFirst;
    if (answer.status !== state || answer.done || isFirst) this.#look();
    if (answer.done) this.#endReplay();
    this.#to.grew(isReset);
    if (answer.status !== state || answer.done || Boolean(answer.text) !== hadText) this.#to.changed();
    if (answer.done) {
      this.keep();
      this.#to.ended();
    }
  }

  #endReplay() {
    if (!this.replay) return;
    const { transport, before, began } = this.replay;
    this.replay = null;
    this.#to.replayed({ transport, tookMs: performance.now() - began, isSame: this.answer.text === before.text });
  }

  #moved(name, why) {
    if (!this.costs.isMeasured) this.costs.of[name]?.begins();
    this.#to.moved(name, why);
  }

  /** The job no longer exists or may not be read. An ended session does not count: the person can sign in again. */
  #failed(error) {
    const reading = this.#reading;
    if (error.status === 401 && this.#signIn.isPossible) {
      this.#signIn.around(() => this.#tokentail.job(this.answer.jobId)).then(
        () => reading === this.#reading && this.readOn(),
        (still) => reading === this.#reading && this.#end(still),
      );
    } else this.#end(error);
  }

  #end(error) {
    this.problem = error;
    this.#reading?.stop();
    this.#to.changed();
  }

  /** Get what was asked; its prompt is the last thing that a user said. */
  async #recall(jobId, isStill) {
    const request = await this.#tokentail.request(jobId);
    if (!isStill()) return;
    this.request = request;
    const said = request.prompt ?? request.messages?.findLast(({ role }) => role === "user")?.content;
    if (typeof said === "string") this.prompt = said;
    this.#to.changed();
  }

  async #look() {
    clearTimeout(this.#viewTimer);
    const { jobId } = this.answer;
    const isStill = () => this.answer?.jobId === jobId;
    let againMs = VIEW_EVERY_MS;
    try {
      const view = await this.#signIn.around(() => this.#impatient.job(jobId));
      if (!isStill()) return;
      this.view = view;
      this.trouble = "";
      this.#to.changed();
      if (!this.prompt && !this.request && this.mayRecall) await this.#recall(jobId, isStill);
    } catch (error) {
      if (!isStill()) return;
      if ([401, 403, 404, 410].includes(error.status)) return this.#end(error);
      againMs = AGAIN_MS;
      this.#isInTrouble(awayWords(error));
    }
    if (isStill() && (this.trouble || (this.isOpen && this.answer.status === "queued"))) {
      this.#viewTimer = setTimeout(() => isStill() && this.#look(), againMs);
    }
  }

  #isInTrouble(words) {
    if (words === this.trouble) return;
    this.trouble = words;
    this.#to.changed();
  }
}
