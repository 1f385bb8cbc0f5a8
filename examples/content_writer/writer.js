// A long post from rough notes. It continues after a reload in mid-sentence, and at its address in another browser.
import { Tokentail, remember, recall } from "http://127.0.0.1:8000/tokentail.js";

const tokentail = new Tokentail({ url: "http://127.0.0.1:8000" });
const [form, notes, write, stop, state, post] = ["form", "notes", "write", "stop", "state", "post"].map((id) =>
  document.getElementById(id),
);
let reading = new AbortController();

const asked = (rough) => ({
  messages: [
    { role: "system", content: "You turn rough notes into a long, well-made post. Write Markdown." },
    { role: "user", content: rough },
  ],
});

async function show(job) {
  reading.abort(); // stop reading the post before
  reading = new AbortController();
  const { signal } = reading;
  stop.disabled = false;
  stop.onclick = () => tokentail.cancel(job).catch(tell);
  let text = "";
  try {
    for await (const step of tokentail.follow(job, { signal })) {
      text = (step.reset ? "" : text) + step.tokens.join(""); // reset: the model started again from the beginning
      post.textContent = text; // never innerHTML: a model's output is not trusted
      state.textContent = step.error?.message ?? step.status;
    }
    stop.disabled = true;
  } catch (error) {
    if (!signal.aborted) tell(error); // an aborted one was replaced by another post
  }
}

function tell(error) {
  state.textContent = error.message;
  stop.disabled = true;
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  state.textContent = "submitting";
  try {
    const job = await tokentail.submit(asked(notes.value));
    show(remember(job.id)); // `remember` puts the id into the page's address, where a reload finds it
  } catch (error) {
    tell(error);
  }
});

notes.value = localStorage.getItem("notes") ?? "";
notes.addEventListener("input", () => localStorage.setItem("notes", notes.value));
write.disabled = false; // without this script the button has no effect
if (recall().job) show(recall().job);
