// The page: one job at a time. It wires the parts; what each of them does is in a file of its own.

import { Tokentail } from "../tokentail.js";
import { advance, emptyAnswer } from "./answer.js";
import { AnswerView } from "./answer_view.js";
import { Announcer } from "./announcer.js";
import { Comparison } from "./comparison.js";
import { Costs } from "./costs.js";
import { CostsView } from "./costs_view.js";
import { FactsView, stateWords } from "./facts.js";
import { JobList, jobTitle } from "./job_list.js";
import { forget, keep, takeUp } from "./kept.js";
import { ModelChoice } from "./models.js";
import { Newest } from "./newest.js";
import { Pace } from "./pace.js";
import { Painter } from "./painter.js";
import { Reading } from "./reading.js";
import { bindSetting } from "./settings.js";
import { Share } from "./share.js";
import { Shortcuts } from "./shortcuts.js";
import { SignIn } from "./sign_in.js";
import { toggleTheme } from "./theme.js";
import { TransportChoice } from "./transports.js";

const VIEW_EVERY_MS = 1000; // while it is queued: its place changes
const LIST_EVERY_MS = 5000;
const TITLE_CHARACTERS = 120;

const narrow = matchMedia("(max-width: 1100px)");
const at = (id) => document.getElementById(id);
const address = new URL(location.href);
const readToken = address.searchParams.get("token") ?? undefined;
const isReader = readToken !== undefined;

const tokentail = new Tokentail(isReader ? { token: readToken } : {});
const signIn = new SignIn(
  tokentail,
  { dialog: at("sign-in"), form: at("sign-in-form"), key: at("key"), problem: at("sign-in-problem"), out: at("sign-out") },
  () => {
    forget();
    location.assign(location.pathname);
  },
);
const models = new ModelChoice(at("model"), at("model-name"), at("model-name-field"));
const transports = new TransportChoice(at("transports"), at("transport-note"), (transport) => shown.reading?.over(transport));
const announcer = new Announcer(at("announce-state"), at("announce-text"));
const newest = new Newest(at("answer-end"), at("to-newest"));
const costs = new Costs();
const costsView = new CostsView(costs, at("costs-rows"), at("costs-line"));
const factsView = new FactsView(at("facts"));
const answerView = new AnswerView({
  text: at("answer"), reasoning: at("reasoning"), reasoningText: at("reasoning-text"),
  reasoningSize: at("reasoning-size"), toolCalls: at("tool-calls"), refusal: at("refusal"),
});
const jobs = new JobList(at("job-list"), at("jobs-none"), (jobId) => {
  at("jobs-dialog").close();
  go(jobId);
  if (narrow.matches) showAnswer();
});
const share = new Share({
  dialog: at("share-dialog"), link: at("share-link"), note: at("share-note"), copy: at("share-copy"), send: at("share-send"),
});

// What is shown now. `shown.answer` is null while nothing is.
let shown = { answer: null, view: null, prompt: "", reading: null, comparison: null, pace: new Pace(), status: "idle" };

const painter = new Painter(() => {
  newest.before();
  answerView.show(shown.answer);
  factsView.show(shown.answer, shown.view, shown.pace.perSecond(performance.now()));
  newest.after();
});

// --- one job ---

/** Show this job and follow it; null shows none. */
function open(jobId, prompt = null) {
  close();
  const kept = jobId ? takeUp(jobId) : { answer: null, prompt: "" };
  shown = { ...shown, ...kept, view: null, pace: new Pace(), status: jobId ? "queued" : "idle" };
  if (prompt !== null) shown.prompt = prompt;
  costs.clear();
  tell(null);
  transports.begin();
  jobs.mark(jobId);
  announcer.begin(shown.answer?.text.length);
  painter.now();
  showState();
  if (!jobId) return;
  refreshView(jobId);
  if (shown.answer.done) return;
  shown.reading = new Reading(tokentail, jobId, shown.answer.cursor, {
    step,
    traffic: (traffic) => costs.isMeasured || costs.traffic(traffic),
    transport: (name, why) => moved(name, why),
    failed: (error) => broken(error),
  }, { events: true });
  shown.reading.over(transports.value);
}

function close() {
  shown.reading?.stop();
  shown.comparison?.stop();
  shown = { ...shown, reading: null, comparison: null };
}

function step(news) {
  const { answer } = shown;
  const before = answer.status;
  const { tokens, isReset } = advance(answer, news);
  const now = performance.now();
  if (isReset) announcer.begin();
  shown.pace.add(tokens, now);
  if (!costs.isMeasured) costs.of[news.transport]?.brought(tokens, now);
  if (!costs.isMeasured) costsView.point(news.transport);
  const isFirst = tokens > 0 && shown.view?.time_to_first_token_ms == null;
  if (answer.status !== before || answer.done || isFirst) refreshView(answer.jobId);
  if (answer.done) ended();
  announcer.heard(answer.text, answer.done);
  painter.ask();
  showState();
}

function ended() {
  keep(shown.answer, shown.prompt);
  if (!isReader) refreshList();
}

/** Nothing helps any more: the job is gone, or may not be read. */
function broken(error) {
  if (error.status === 401 && !isReader) {
    signIn.around(() => tokentail.job(shown.answer.jobId)).then(() => shown.reading?.over(transports.value), tell);
    return;
  }
  shown.status = "failed";
  shown.reading = null;
  tell(error);
  showState();
}

function moved(name, why) {
  costs.of[name]?.begins();
  if (!costs.isMeasured) costsView.point(name);
  transports.moved(name, why);
}

let viewTimer;
async function refreshView(jobId) {
  clearTimeout(viewTimer);
  try {
    const view = await signIn.around(() => tokentail.job(jobId));
    if (shown.answer?.jobId !== jobId) return;
    shown.view = view;
    showAsked();
    painter.ask();
    showState();
  } catch (error) {
    if (shown.answer?.jobId === jobId && (error.status === 404 || error.status === 410 || isReader)) broken(error);
  }
  if (shown.answer?.jobId === jobId && shown.answer.status === "queued" && shown.reading) {
    viewTimer = setTimeout(() => refreshView(jobId), VIEW_EVERY_MS);
  }
}

// --- what people do ---

async function ask() {
  const prompt = at("prompt").value.trim();
  if (!prompt || at("ask").disabled) return at("prompt").focus();
  at("submit-problem").hidden = true;
  at("ask").disabled = true;
  const longest = at("max-tokens").valueAsNumber;
  const request = { prompt, model: models.value, metadata: { title: firstLine(prompt) } };
  if (longest > 0) request.max_tokens = Math.floor(longest);
  const idempotencyKey = crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`;
  try {
    const job = await signIn.around(() => tokentail.submit(request, { idempotencyKey }));
    at("prompt").value = "";
    go(job.id, prompt);
    refreshList();
    if (narrow.matches) showAnswer();
  } catch (error) {
    at("submit-problem").textContent = error.detail ?? error.message;
    at("submit-problem").hidden = false;
  } finally {
    at("ask").disabled = false;
  }
}

/** On a small screen the answer is below; a keyboard on the screen would hide it. */
function showAnswer() {
  document.activeElement?.blur();
  at("bar").scrollIntoView({ block: "start", behavior: "instant" });
}

/** Show a job, or none, and put it into the address: a reload comes back to it. */
function go(jobId, prompt = null) {
  const next = new URL(location.pathname, location.href);
  if (jobId) next.searchParams.set("job", jobId);
  history.pushState(null, "", next);
  open(jobId, prompt);
  if (!jobId) at("prompt").focus();
}

async function stop() {
  if (isReader || !shown.answer || shown.answer.done) return;
  announcer.state("Stopping");
  await tokentail.cancel(shown.answer.jobId).catch(tell);
}

async function copy() {
  if (!shown.answer?.text) return;
  await navigator.clipboard.writeText(shown.answer.text);
  at("copy").textContent = "Copied";
  announcer.state("Copied");
  setTimeout(() => (at("copy").textContent = "Copy"), 1500);
}

async function shareIt() {
  if (isReader || !shown.answer) return;
  await signIn.around(() => tokentail.share(shown.answer.jobId)).then((made) => share.show(made), tell);
}

function compare() {
  const { answer } = shown;
  if (!answer || answer.done || shown.comparison) return;
  const ends = () => {
    shown.comparison = null;
    showState();
  };
  shown.comparison = new Comparison(tokentail, answer.jobId, answer.cursor, costs, ends);
  costsView.point(null);
  showState();
}

const firstLine = (prompt) => prompt.replace(/\s+/g, " ").slice(0, TITLE_CHARACTERS);

// --- what is seen of it ---

function showState() {
  const { answer, view, status } = shown;
  const isOpen = Boolean(answer) && !answer.done && status !== "failed";
  const state = answer && status !== "failed" ? answer.status : status;
  const words = stateWords(state, view, answer);
  at("state").dataset.state = state;
  at("state-text").textContent = words;
  if (answer) announcer.state(answer.done ? `${words}. ${answer.tokenCount} tokens.` : words);
  at("stop").disabled = !isOpen || isReader;
  at("share").disabled = !answer || isReader;
  at("copy").disabled = !answer?.text;
  at("compare").disabled = !isOpen || Boolean(shown.comparison);
  at("compare").textContent = shown.comparison ? "Comparing…" : "Compare all four, live";
  at("costs-note").textContent = costs.isMeasured
    ? "Four readers of the same log. Delay: behind whichever of them had the token first."
    : "Each mark is news that came: the higher, the more tokens at once.";
  at("welcome").hidden = Boolean(answer);
  newest.isGrowing = isOpen;
  costsView.run(isOpen || Boolean(shown.comparison));
  if (answer?.done && answer.error) tell(answer.error);
  showAsked();
}

function showAsked() {
  const asked = shown.prompt || (shown.view ? jobTitle(shown.view) : "");
  at("asked").hidden = !shown.answer;
  if (at("asked").textContent !== asked) at("asked").textContent = asked || "…";
  document.title = shown.answer && asked ? `${asked.slice(0, 60)} · Tokentail` : "Tokentail";
}

/** Say what went wrong with the job that is shown; null takes it back. */
function tell(error) {
  at("job-problem").hidden = error === null;
  if (error === null) return;
  const kind = { 404: "There is no such job, or it is not yours.", 410: "What this job said has expired or was deleted." };
  const detail = isReader && error.status === 401 ? "This link has expired." : (kind[error.status] ?? error.detail ?? error.message);
  at("job-problem").textContent = detail;
  announcer.state(detail);
}

// --- the rest of the page ---

async function refreshList() {
  try {
    const { jobs: views } = await signIn.around(() => tokentail.jobs({ limit: 30 }));
    jobs.show(views);
  } catch {
    // The list is a courtesy; the next look may bring it.
  }
}

/** Beside the rest, or in a drawer where there is no room. */
function placeJobs() {
  if (narrow.matches) at("jobs-dialog").append(at("jobs"));
  else document.querySelector("main").prepend(at("jobs"));
}

function beside(places) {
  const jobId = jobs.beside(places);
  if (jobId) go(jobId);
}

function setUp() {
  at("prompt-form").addEventListener("submit", (event) => {
    event.preventDefault();
    ask();
  });
  at("examples").addEventListener("click", (event) => {
    if (event.target.matches("button")) at("prompt").value = event.target.textContent;
    at("prompt").focus();
  });
  for (const [id, act] of Object.entries({ stop, copy, compare, theme: toggleTheme })) at(id).addEventListener("click", act);
  at("share").addEventListener("click", shareIt);
  at("help-open").addEventListener("click", () => at("help").showModal());
  at("jobs-open").addEventListener("click", () => at("jobs-dialog").showModal());
  for (const link of [at("new-job"), document.querySelector(".brand")]) {
    link.addEventListener("click", (event) => {
      if (isReader || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      at("jobs-dialog").close();
      go(null);
    });
  }
  addEventListener("popstate", () => open(new URL(location.href).searchParams.get("job")));
  addEventListener("pagehide", () => shown.answer && keep(shown.answer, shown.prompt));
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && shown.answer) keep(shown.answer, shown.prompt);
  });
  narrow.addEventListener("change", placeJobs);
  placeJobs();
  at("costs").open = !matchMedia("(max-width: 760px)").matches;
  at("costs").addEventListener("toggle", () => costsView.draw());
  setUpKeys();
}

function setUpKeys() {
  const shortcuts = new Shortcuts({
    always: { "Ctrl Enter": ask, Escape: stop },
    single: {
      "/": () => at("prompt").focus(), n: () => isReader || go(null), j: () => beside(1), k: () => beside(-1),
      m: compare, c: copy, s: shareIt, d: toggleTheme, "?": () => at("help").showModal(),
      1: () => transports.choose(0), 2: () => transports.choose(1), 3: () => transports.choose(2), 4: () => transports.choose(3), 5: () => transports.choose(4),
    },
  });
  bindSetting(at("single-keys"), (isOn) => (shortcuts.isSingleOn = isOn));
  bindSetting(at("say-sentences"), (isOn) => (announcer.isWordy = isOn));
}

function begin() {
  setUp();
  document.body.toggleAttribute("data-reader", isReader);
  at("reader-note").hidden = !isReader;
  open(address.searchParams.get("job"));
  if (isReader) return;
  signIn.around(() => tokentail.models()).then((served) => models.offer(served), tell);
  refreshList();
  setInterval(() => document.hidden || !jobs.hasOpen || refreshList(), LIST_EVERY_MS);
}

begin();
