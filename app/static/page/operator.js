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

const at = (id) => document.getElementById(id);
const tokentail = new Tokentail();
const signIn = new SignIn(
  tokentail,
  { dialog: at("sign-in"), form: at("sign-in-form"), key: at("key"), problem: at("sign-in-problem"), out: at("sign-out") },
  () => location.reload(),
);
const charts = Object.fromEntries(["running", "queued", "ended", "tokens"].map((name) => [name, new Chart(at(`${name}-chart`))]));

let lastLook = null; // {at, views: job id → view}

async function look() {
  try {
    const [overview, { jobs }] = await signIn.around(() => Promise.all([readOverview(), tokentail.jobs({ limit: JOBS })]));
    showDeployment(overview);
    showJobs(jobs);
  } catch (error) {
    tell("failed", error.detail ?? error.message);
  }
}

/** `GET /v1/overview`, for which the client has no call of its own. */
async function readOverview() {
  const answer = await fetch("v1/overview", { signal: AbortSignal.timeout(10_000) });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.detail), { status: answer.status });
  return body;
}

function showDeployment({ jobs, queue, slots, workers, ended_per_s: endedPerSecond }) {
  const held = workers.reduce((sum, worker) => sum + worker.held, 0);
  if (workers.length) tell("completed", jobs.queued > queue.length + queue.held_out + 1 ? "Jobs are being queued" : "All is well");
  else tell("queued", "No workers running: jobs are waiting");
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
  at("workers-none").hidden = workers.length > 0;
  fillRows(at("worker-rows"), workers.map((worker) => [
    worker.name, `${count(worker.held)} of ${count(worker.slots)}`, count(worker.ended), worker.models.join(", "),
  ]));
}

function showJobs(views) {
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
    link(view), tag(view.status), view.model, view.time_to_first_token_ms == null ? "–" : span(view.time_to_first_token_ms),
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
  at("state").dataset.state = state;
  put("state-text", words);
}

async function lookOn() {
  if (!document.hidden) await look();
  setTimeout(lookOn, EVERY_MS);
}

at("theme").addEventListener("click", toggleTheme);
document.addEventListener("visibilitychange", () => document.hidden || look());
lookOn();
