import { useChat } from "@ai-sdk/react";
import { StrictMode, useEffect, useState } from "react";
import { createRoot } from "react-dom/client";
import { TokentailChatTransport } from "tokentail";
import { url } from "./server.js";

const transport = new TokentailChatTransport({ url });
const id = "example"; // an application has one for each conversation
const kept = JSON.parse(localStorage.getItem(id) ?? "[]"); // or in a database

function Conversation() {
  const { messages, sendMessage, status, stop, error } = useChat({ id, messages: kept, transport, resume: true });
  const [draft, setDraft] = useState("");
  useEffect(() => localStorage.setItem(id, JSON.stringify(messages)), [messages]);
  const isBusy = status === "submitted" || status === "streaming";
  const send = (event) => {
    event.preventDefault();
    sendMessage({ text: draft });
    setDraft("");
  };
  const cancel = () => {
    transport.cancel(id);
    stop();
  };
  return (
    <form onSubmit={send}>
      {messages.map(({ id: key, role, parts }) => (
        <p key={key} className={role}>
          {parts.map((part) => (part.type === "text" ? part.text : "")).join("")}
        </p>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <input id="question" required aria-label="Message" value={draft} onChange={(event) => setDraft(event.target.value)} />
      {isBusy ? (
        <button key="stop" type="button" onClick={cancel}>
          Stop
        </button>
      ) : (
        <button key="send">Send</button>
      )}
    </form>
  );
}

createRoot(document.getElementById("root")).render(
  <StrictMode>
    <Conversation />
  </StrictMode>,
);
