// The operator's view: it requests new figures every two seconds while the tab is visible.

import { Tokentail } from "../tokentail.js";
import { Chart } from "./chart.js";
import { ago, count, short, span } from "./format.js";
import { jobTitle } from "./job_list.js";
import { SignIn } from "./sign_in.js";
import { tally, tokensPerSecond } from "./tally.js";
import { toggleTheme } from "./theme.js";

const EVERY_MS = 2000;
const JOBS = 50;
const OLD_MS = 10_000;

const at = (id) => document.getElementById(id);
const tokentail = new Tokentail();
const signIn = new SignIn(
  tokentail,
  { dialog: at("sign-in"), form: at("sign-in-form"), key: at("key"), problem: at("sign-in-problem"), out: at("sign-out") },
  () => location.reload(),
);
const charts = Object.fromEntries(["running", "queued", "ended", "tokens"].map((name) => [name, new Chart(at(`${name}-chart`))]));

let lookedAt = null; // the last look that succeeded: {ms, at}
let lastLook = null; // {at, views: job id → view}

async function look() {
  try {
    const overview = await signIn.around(() => readJson("v1/overview"));
    showDeployment(overview);
    showJobs(await signIn.around(() => readJobs(overview.role)), overview.role);
    lookedAt = { ms: performance.now(), at: new Date(overview.at) };
  } catch (error) {
    showOld(error.status >= 500 ? error.detail ?? error.message : error.status ? error.message : "The server does not answer.");
  }
}

/** What an operator may see: with an operator's key the records of all, with another its own jobs, without keys both. */
async function readJobs(role) {
  const [records, own] = await Promise.all([
    role === "client" ? [] : readJson(`v1/operator/jobs?limit=${JOBS}`).then((page) => page.jobs),
    role === "operator" ? [] : tokentail.jobs({ limit: JOBS }).then((page) => page.jobs),
  ]);
  if (role === "client") return own;
  const mine = new Map(own.map((view) => [view.id, view]));
  return records.map((record) => ({ ...record, ...mine.get(record.id) }));
}

/** The JSON of a call for which the client has none of its own. */
async function readJson(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(10_000) });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.detail), { status: answer.status, detail: body.detail });
  return body;
}

function showDeployment({ state, reasons, jobs, queue, slots, workers, ended_per_s: endedPerSecond, usage_today: usage = [] }) {
  const held = workers.reduce((sum, worker) => sum + worker.held, 0);
  if (state === "good") tell("completed", jobs.queued > queue.length + queue.held_out + 1 ? "Jobs are being queued" : "All is well");
  else tell("amber", state === "no workers" ? "No workers running: jobs are waiting" : reasons[0].what);
  showReasons(reasons);
  put("workers", count(workers.length));
  put("slots", `${count(held)} of ${count(slots)} slots in use`);
  at("slots-meter").value = slots ? held / slots : 0;
  put("running", count(jobs.running));
  put("queued", count(jobs.queued));
  put("waiting", queue.head_age_s === null ? "the queue is empty" : `the next one for ${span(queue.head_age_s * 1000)}${queue.held_out ? `; ${count(queue.held_out)} held back` : ""}`);
  put("ended", short(endedPerSecond * 60));
  const now = performance.now();
  charts.running.add(jobs.running, now);
  charts.queued.add(jobs.queued, now);
  charts.ended.add(endedPerSecond * 60, now);
  showUsage(usage);
  at("workers-none").hidden = workers.length > 0;
  fillRows(at("worker-rows"), workers.map((worker) => [
    worker.name, `${count(worker.held)} of ${count(worker.slots)}`, count(worker.ended), worker.models.join(", "),
  ]));
}

/** What each key submitted and spent since midnight, by UTC. Only an operator receives it. */
function showUsage(usage) {
  at("usage").hidden = usage.length === 0;
  fillRows(at("usage-rows"), usage.map((row) => [
    row.owner || "without a key", count(row.requests), count(row.failed), count(row.input_tokens), count(row.output_tokens),
  ]));
}

/** What is not well, each with what to do. */
function showReasons(reasons) {
  at("reasons").hidden = reasons.length === 0;
  at("reasons").replaceChildren(...reasons.map(({ what, do: todo }) => {
    const item = document.createElement("li");
    const [remedy, command] = todo.split(": ");
    item.append(`${what} ${remedy}`);
    if (command) {
      const code = document.createElement("code");
      code.textContent = command;
      item.append(": ", code);
    }
    return item;
  }));
}

/** The figures are of the last look that succeeded, if there was one; say so, and why. */
function showOld(why) {
  const words = lookedAt ? `Figures of ${lookedAt.at.toLocaleTimeString("en", { timeStyle: "medium" })}: ${why}` : why;
  tell("old", words);
  document.body.toggleAttribute("data-old", true);
}

function showJobs(views, role) {
  const isOfAll = role !== "client";
  put("states-title", isOfAll ? "Recent jobs by state" : "Your recent jobs by state");
  put("last-title", isOfAll ? "Recent jobs" : "Your recent jobs");
  put("tokens-title", isOfAll ? "Tokens/s" : "Your tokens/s");
  put("whose", isOfAll ? "the jobs are those of all owners, without what they asked" : "the jobs are those of your key only");
  const now = performance.now();
  if (lastLook) {
    const rate = tokensPerSecond(lastLook.views, views, now - lastLook.at);
    put("tokens", short(rate));
    charts.tokens.add(rate, now);
  }
  lastLook = { at: now, views: new Map(views.map((view) => [view.id, view])) };
  const { states, errors, firstTokenMs } = tally(views);
  for (const line of at("states").children) showState(line, states[line.dataset.state], views.length);
  put("first-tokens", firstTokenMs === null ? "No first token yet." : `Median time to the first token: ${span(firstTokenMs)}.`);
  at("errors-none").hidden = errors.size > 0;
  at("errors").replaceChildren(...[...errors].map(([type, messages]) => {
    const item = document.createElement("li");
    const title = document.createElement("strong");
    title.textContent = `${type}, ${count(messages.length)}×`;
    item.append(title, `: ${messages[0]}`);
    return item;
  }));
  fillRows(at("last-rows"), views.slice(0, 20).map((view) => [
    title(view, role), tag(view.status), view.owner || "–", view.model, view.provider_calls === undefined ? "–" : count(view.provider_calls), view.time_to_first_token_ms == null ? "–" : span(view.time_to_first_token_ms),
    count(view.token_count), count(view.attempts), ago(view.created_at),
  ]));
}

function showState(line, number, all) {
  const cell = line.querySelector("dd");
  if (!cell.querySelector("meter")) {
    const meter = document.createElement("meter");
    const text = document.createElement("span");
    text.className = "number";
    meter.setAttribute("aria-hidden", "true"); // the number beside it is read out
    cell.replaceChildren(meter, text);
  }
  cell.querySelector("meter").value = all ? number / all : 0;
  cell.querySelector(".number").textContent = count(number);
}

function fillRows(body, rows) {
  while (body.rows.length > rows.length) body.lastChild.remove();
  rows.forEach((cells, place) => {
    const row = body.rows[place] ?? body.insertRow();
    cells.forEach((content, column) => {
      const cell = row.cells[column] ?? labelledCell(row, body.parentNode.tHead.rows[0].cells[column].textContent);
      if (content instanceof Node) {
        if (!cell.firstChild?.isEqualNode(content)) cell.replaceChildren(content);
      } else if (cell.textContent !== content) cell.textContent = content;
      cell.classList.toggle("wide", cell.textContent.length > 40);
    });
  });
}

/** On narrow screens the cells stand below each other, with labels; for screen readers it remains a table. */
function labelledCell(row, label) {
  row.setAttribute("role", "row");
  const cell = row.insertCell();
  cell.setAttribute("role", "cell");
  cell.dataset.label = label;
  return cell;
}

/** The job's name; with an operator's key it leads nowhere, for that opens no content. */
function title(view, role) {
  return role === "operator" ? view.id : link(view);
}

function link(view) {
  const made = document.createElement("a");
  made.href = `./?job=${encodeURIComponent(view.id)}`;
  made.textContent = jobTitle(view).slice(0, 48);
  return made;
}

function tag(status) {
  const made = document.createElement("span");
  made.className = "tag";
  made.dataset.state = status;
  made.textContent = status;
  return made;
}

function put(id, text) {
  if (at(id).textContent !== text) at(id).textContent = text;
}

function tell(state, words) {
  document.body.toggleAttribute("data-old", false);
  at("state").dataset.state = state;
  put("state-text", words);
}

async function lookOn() {
  if (!document.hidden) await look();
  else if (lookedAt && performance.now() - lookedAt.ms > OLD_MS) showOld("this page was hidden.");
  setTimeout(lookOn, EVERY_MS);
}

at("theme").addEventListener("click", toggleTheme);
document.addEventListener("visibilitychange", () => document.hidden || look());
lookOn();
