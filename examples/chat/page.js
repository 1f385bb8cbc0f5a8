// The page of chat_site.py: it shows the conversation, and follows the answer that is being made.

const [turns, form, question, state] = ["turns", "form", "question", "state"].map((id) => document.getElementById(id));
const button = form.querySelector("button");

// The chat's name is in the address, so that a reload, or another device, finds it again.
if (!location.hash) location.replace(`#${crypto.randomUUID()}`);
const chat = `/chats/${location.hash.slice(1)}`;
const { server, turns: earlier } = await read(await fetch(chat));
const { Tokentail } = await import(`${server}/tokentail.js`);

async function read(response) {
  if (response.status === 409) throw new Error("Another question is being answered. Ask again when it has its answer.");
  if (!response.ok) throw new Error(`The site answered ${response.status}.`);
  return response.json();
}

/** Show a turn; where its answer is still being made, follow it to its end. */
async function show(turn) {
  const asked = turns.appendChild(document.createElement("p"));
  asked.className = "question";
  asked.textContent = turn.question;
  const answer = turns.appendChild(document.createElement("p"));
  answer.textContent = turn.answer || (turn.status ? `(no answer: ${turn.status})` : "");
  if (turn.status !== null) return;
  const reader = new Tokentail({ url: server, token: turn.token ?? undefined });
  for await (const step of reader.follow(turn.job)) {
    if (step.reset) answer.textContent = ""; // the model began anew
    answer.textContent += step.tokens.join(""); // textContent: what a model writes is no trusted HTML
    state.textContent = step.status;
    if (step.error) state.textContent = step.error.message;
  }
}

/** Submit a question. The key makes one turn of it, however often the request is repeated. */
async function ask(text) {
  const headers = { "Content-Type": "application/json", "Idempotency-Key": crypto.randomUUID() };
  const request = { method: "POST", headers, body: JSON.stringify({ question: text }) };
  const turn = await read(await fetch(`${chat}/turns`, request).catch(() => fetch(`${chat}/turns`, request)));
  question.value = "";
  await show(turn);
}

const tell = (error) => (state.textContent = error.message);

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  if (button.disabled) return; // one question at a time
  button.disabled = true;
  await ask(question.value).catch(tell);
  button.disabled = false;
});

for (const turn of earlier) await show(turn).catch(tell);
button.disabled = false; // without this script the button has no effect
