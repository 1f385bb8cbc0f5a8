import { Tokentail, remember, recall } from "/tokentail.js";

const tokentail = new Tokentail(); // this app's own origin; the browser adds the cookie of the login
const [form, prompt, answer, state] = ["form", "prompt", "answer", "state"].map((id) => document.getElementById(id));

async function show(job) {
  let text = "";
  for await (const step of tokentail.follow(job)) {
    text = (step.reset ? "" : text) + step.tokens.join("");
    answer.textContent = text;
    state.textContent = `${step.status}, by ${step.transport}`;
  }
}

const tell = (error) => { state.textContent = error.message; };

form.addEventListener("submit", (event) => {
  event.preventDefault();
  tokentail.submit({ prompt: prompt.value }).then((job) => show(remember(job.id))).catch(tell);
});

form.querySelector("button").disabled = false; // without this script the button has no effect
if (recall().job) show(recall().job).catch(tell);
