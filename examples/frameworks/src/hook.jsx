import { useState } from "react";
import { createRoot } from "react-dom/client";
import { recall, remember } from "tokentail";
import { useTokentail } from "tokentail/react";
import { client } from "./server.js";

function Page() {
  const [job, setJob] = useState(recall().job);
  const [question, setQuestion] = useState("");
  const { text, status, done, error, trouble, cancel } = useTokentail(job, { client });
  const ask = async (event) => {
    event.preventDefault();
    setJob(remember((await client.submit({ prompt: question })).id)); // in the page's address, where a reload finds it
  };
  return (
    <form onSubmit={ask}>
      <label>
        Question <input id="question" required value={question} onChange={(event) => setQuestion(event.target.value)} />
      </label>
      <button>Ask</button>
      <button id="stop" type="button" disabled={!job || done} onClick={cancel}>
        Stop
      </button>
      <pre id="answer">{text}</pre>
      <p role="status">{error?.message ?? trouble ?? status}</p>
    </form>
  );
}

createRoot(document.getElementById("root")).render(<Page />);
