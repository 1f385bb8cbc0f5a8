import { recall, remember } from "tokentail";
import "tokentail/element";
import { client, url } from "./server.js";

const [form, question, stop, answer] = ["form", "question", "stop", "answer"].map((id) => document.getElementById(id));
answer.setAttribute("url", url);

function show(job) {
  answer.setAttribute("job", job);
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const job = await client.submit({ prompt: question.value });
  show(remember(job.id)); // in the page's address, where a reload finds it
});
stop.addEventListener("click", () => answer.cancel());
if (recall().job) show(recall().job);
