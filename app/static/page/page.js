// The page: one job at a time. It connects the parts to what people do; each part is in a file of its own.

import { Tokentail } from "../tokentail.js";
import { loadMarkdown } from "./answer_view.js";
import { Asking } from "./asking.js";
import { COPY_KEYS, copyText } from "./clipboard.js";
import { Health } from "./health.js";
import { JobList } from "./job_list.js";
import { forget } from "./kept.js";
import { ModelChoice } from "./models.js";
import { Outbox } from "./outbox.js";
import { Screen, focusAnswer } from "./screen.js";
import { bindSetting } from "./settings.js";
import { Share } from "./share.js";
import { Shortcuts } from "./shortcuts.js";
import { SignIn } from "./sign_in.js";
import { toggleTheme } from "./theme.js";
import { TransportChoice } from "./transports.js";
import { WatchedJob } from "./watched_job.js";

const LIST_EVERY_MS = 5000;
const MODELS_AGAIN_MS = 3000;
const LISTED = 200;

const at = (id) => document.getElementById(id);
const here = () => new URL(location.href).searchParams;
const readToken = here().get("token") ?? undefined;
const isReader = readToken !== undefined; // a share link's reader, for whom the page only reads one job
const narrow = matchMedia("(max-width: 1180px)");
const small = matchMedia("(max-width: 860px)");

const tokentail = new Tokentail({ token: readToken });
const impatient = new Tokentail({ token: readToken, timing: { patienceMs: 0 } }); // its callers repeat, and show it
const signIn = new SignIn(
  tokentail,
  { dialog: at("sign-in"), form: at("sign-in-form"), key: at("key"), problem: at("sign-in-problem"), out: at("sign-out") },
  () => {
    job.begin(null);
    forget();
    location.assign(location.pathname);
  },
);
signIn.isPossible = !isReader;
const transports = new TransportChoice(
  { menu: at("via"), group: at("transports"), name: at("via-name"), note: at("transport-note") },
  (transport) => (job.isOpen ? job.readOn() : transport !== "auto" && job.readAgain(transport)),
);
const job = new WatchedJob(tokentail, impatient, signIn, () => transports.value, {
  began: () => {
    transports.begin();
    screen.began();
    jobs.mark(job.answer?.jobId ?? null);
  },
  grew: (isReset) => screen.grew(isReset),
  changed: () => screen.changed(),
  moved: (transport, why) => {
    screen.point(transport);
    transports.moved(transport, why);
  },
  ended: () => refreshList(),
  replayed: (replay) => screen.replayed(replay),
});
const screen = new Screen(job, isReader);
const models = new ModelChoice(at("model"), at("model-name"), at("model-name-field"), at("model-note"));
const outbox = new Outbox((request, options) => signIn.around(() => impatient.submit(request, options)), {
  box: at("kept"), words: at("kept-words"), drop: at("kept-drop"),
});
const asking = new Asking({ prompt: at("prompt"), longest: at("max-tokens") }, { job, models, outbox, screen }, (jobId, prompt, isCompared) => {
  refreshList();
  if (!jobId) return;
  go(jobId, prompt);
  if (isCompared) job.compare();
  showAnswer();
});
const jobs = new JobList({ list: at("job-list"), none: at("jobs-none"), search: at("jobs-search") }, {
  open(jobId) {
    at("jobs-dialog").close();
    go(jobId);
    showAnswer();
  },
  remove: (jobId) => remove(jobId),
});
const share = new Share(
  {
    dialog: at("share-dialog"), link: at("share-link"), note: at("share-note"), life: at("share-life"),
    lifeField: at("share-life-field"), copy: at("share-copy"), send: at("share-send"), revoke: at("share-revoke"),
  },
  {
    make: (jobId, expiresInS) => signIn.around(() => tokentail.share(jobId, { expiresInS })),
    revoke: (jobId) => signIn.around(() => tokentail.revokeShares(jobId)),
  },
);

let isHealthWatched = false;

async function remove(jobId) {
  try {
    await signIn.around(() => tokentail.delete(jobId));
    if (jobId === job.answer?.jobId) {
      forget();
      go(null);
    }
  } catch (error) {
    screen.notice(error);
  }
  refreshList();
}

/** Scroll to the answer and focus it, because an on-screen keyboard would hide it. */
function showAnswer() {
  focusAnswer();
  scrollTo({ top: 0, behavior: "instant" });
}

/** Watch a job (null: no job) and put its id into the address, so that a reload finds it. */
function go(jobId, prompt = null) {
  const next = new URL(location.pathname, location.href);
  if (jobId) next.searchParams.set("job", jobId);
  history.pushState(null, "", next);
  job.begin(jobId, prompt);
  if (!jobId) at("prompt").focus();
}

async function stop() {
  if (isReader || !job.isOpen) return;
  screen.announcer.state("Stopping");
  await signIn.around(() => tokentail.cancel(job.answer.jobId)).catch((error) => screen.notice(error));
}

async function copy() {
  if (!job.answer?.text) return;
  const isCopied = await copyText(job.answer.text, () => getSelection().selectAllChildren(at("answer")));
  at("copy").textContent = isCopied ? "Copied" : COPY_KEYS;
  screen.announcer.state(isCopied ? "Copied" : `The answer is selected. ${COPY_KEYS} to copy it.`);
  setTimeout(() => (at("copy").textContent = "Copy"), isCopied ? 1500 : 5000);
}

async function shareIt() {
  if (isReader || !job.answer) return;
  screen.notice(null);
  await share.open(job.answer.jobId).catch((error) => screen.notice(error));
}

/** Load the served models; repeated while there are none, because a worker may still be starting. */
async function offerModels() {
  let again = true;
  try {
    const served = await signIn.around(() => impatient.models());
    models.offer(served);
    if (!isHealthWatched) new Health(at("health"), at("health-text")).watch();
    isHealthWatched = true;
    again = served.data.length === 0;
    screen.notice(null);
  } catch (error) {
    if (at("kept").hidden) screen.notice(error); // a kept question says the same
    again = ![401, 403].includes(error.status); // otherwise the dialog would reappear after each try
  }
  if (again) setTimeout(offerModels, MODELS_AGAIN_MS);
}

async function refreshList() {
  if (isReader) return;
  try {
    const { jobs: listed } = await signIn.around(() => tokentail.jobs({ limit: LISTED }));
    document.documentElement.toggleAttribute("data-lists", listed.length > 0);
    jobs.show(listed);
  } catch {
    // The page works without the list, and the next request may succeed.
  }
}

/** Place the list of jobs beside the answer, or on small screens into a drawer, and signing out into the help. */
function place() {
  if (narrow.matches) at("jobs-dialog").append(at("jobs"));
  else document.querySelector("main").prepend(at("jobs"));
  if (small.matches) at("account").append(at("sign-out"));
  else at("theme").before(at("sign-out"));
}

function beside(places) {
  const jobId = jobs.beside(places);
  if (jobId) go(jobId);
}

function anew(event) {
  if (isReader || event?.ctrlKey || event?.metaKey || event?.shiftKey) return;
  event?.preventDefault();
  at("jobs-dialog").close();
  go(null);
}

function listen() {
  const clicks = {
    stop, copy, share: shareIt, again: () => asking.again(), retry: () => asking.again(), edit: () => asking.edit(), race: () => asking.race(), compare: () => job.compare(), theme: toggleTheme,
    "new-job": anew, brand: anew, "start-over": anew,
    "help-open": () => at("help").showModal(), "jobs-open": () => at("jobs-dialog").showModal(),
  };
  for (const [id, act] of Object.entries(clicks)) at(id).addEventListener("click", act);
  at("prompt-form").addEventListener("submit", (event) => {
    event.preventDefault();
    asking.ask();
  });
  at("prompt").addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.altKey || event.isComposing) return;
    event.preventDefault();
    asking.ask();
  });
  at("prompt").addEventListener("input", () => {
    screen.notice(null);
    loadMarkdown();
  });
  at("replay").addEventListener("click", ({ target }) => target.dataset.over && job.readAgain(target.dataset.over));
  at("examples").addEventListener("click", (event) => {
    if (!event.target.matches("button")) return;
    at("prompt").value = event.target.textContent;
    at("prompt").focus();
  });
  addEventListener("popstate", () => job.begin(here().get("job")));
  addEventListener("pagehide", () => job.keep());
  document.addEventListener("visibilitychange", () => document.hidden && job.keep());
  narrow.addEventListener("change", place);
  small.addEventListener("change", place);
}

function listenToKeys() {
  const choices = Object.fromEntries([1, 2, 3, 4, 5].map((key) => [key, () => transports.choose(key - 1)]));
  const shortcuts = new Shortcuts({
    always: { "Ctrl Enter": () => asking.ask() },
    outside: { Escape: stop },
    single: {
      ...choices, "/": () => at("prompt").focus(), n: () => anew(), j: () => beside(1), k: () => beside(-1),
      m: () => job.compare(), c: copy, s: shareIt, d: toggleTheme, "?": () => at("help").showModal(),
    },
  });
  bindSetting(at("single-keys"), (isOn) => (shortcuts.isSingleOn = isOn));
  bindSetting(at("say-sentences"), (isOn) => (screen.announcer.isWordy = isOn));
}

function begin() {
  listen();
  listenToKeys();
  place();
  document.documentElement.toggleAttribute("data-shows", here().has("job"));
  at("costs").open = at("facts-card").open = !small.matches; // on small screens each is one line below the answer
  job.mayRecall = !isReader;
  document.body.toggleAttribute("data-reader", isReader);
  at("reader-note").hidden = !isReader;
  job.begin(here().get("job"));
  if (isReader) return;
  offerModels();
  refreshList();
  if (outbox.waiting) asking.send(outbox.waiting);
  setInterval(() => document.hidden || !jobs.hasOpen || refreshList(), LIST_EVERY_MS);
}

begin();
