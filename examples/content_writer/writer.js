// A long post from rough notes. Reload in mid-sentence, close the tab, open its address elsewhere: it goes on.
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
  reading.abort(); // of the post before
  reading = new AbortController();
  const { signal } = reading;
  stop.disabled = false;
  stop.onclick = () => tokentail.cancel(job).catch(tell);
  let text = "";
  try {
    for await (const step of tokentail.follow(job, { signal })) {
      text = (step.reset ? "" : text) + step.tokens.join(""); // reset: the model began anew
      post.textContent = text; // never innerHTML: what a model writes is not to be trusted
      state.textContent = step.error?.message ?? step.status;
    }
    stop.disabled = true;
  } catch (error) {
    if (!signal.aborted) tell(error); // else another post is being shown
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
    show(remember(job.id)); // into the page's address, where a reload finds it
  } catch (error) {
    tell(error);
  }
});

notes.value = localStorage.getItem("notes") ?? "";
notes.addEventListener("input", () => localStorage.setItem("notes", notes.value));
write.disabled = false; // without this script it could do nothing
if (recall().job) show(recall().job);
