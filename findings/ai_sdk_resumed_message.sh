#!/usr/bin/env bash
# npm ai 7.0.173: a chat that resumes a stream empties its message first, and takes the stream for the whole message, where
# the transport says that it replays (DefaultChatTransport does). A server whose stream has only the step that runs, as
# after the results of tools, so removes the steps before it: the tool call and its result are no longer in the chat.
# And a stream that ends without `finish` leaves the chat `ready`, like one that is whole.
# (Node 20 or newer; the package asks for 22.)
# Seen: "sent: tool-weather, text; resumed: text; without finish: ready". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund ai@7.0.173 2>/dev/null
cat > probe.mjs <<'JS'
import { AbstractChat, DefaultChatTransport } from "ai";

class State {
  status = "ready";
  error = undefined;
  constructor(messages) {
    this.messages = messages;
  }
  pushMessage = (message) => (this.messages = [...this.messages, message]);
  popMessage = () => (this.messages = this.messages.slice(0, -1));
  replaceMessage = (index, message) => (this.messages = this.messages.with(index, message));
  snapshot = structuredClone;
}
class Chat extends AbstractChat {}

const step = [
  { type: "start", messageId: "a" },
  { type: "start-step" },
  { type: "text-start", id: "t" },
  { type: "text-delta", id: "t", delta: "It is 18 degrees." },
  { type: "text-end", id: "t" },
];
const end = [{ type: "finish-step" }, { type: "finish" }];
const tool = { type: "tool-weather", toolCallId: "1", state: "output-available", input: {}, output: "18 degrees" };
const user = { id: "u", role: "user", parts: [{ type: "text", text: "How is it?" }] };
const answer = { id: "a", role: "assistant", parts: [{ type: "step-start" }, tool] };

function chatOf(chunks) {
  const body = chunks.map((chunk) => `data: ${JSON.stringify(chunk)}\n\n`).join("");
  const transport = new DefaultChatTransport({ fetch: async () => new Response(body) });
  return new Chat({ id: "c", transport, state: new State([user, answer]) });
}

const kindsOf = ({ messages }) => messages[1].parts.map(({ type }) => type).filter((type) => type !== "step-start").join(", ");
const sent = chatOf([...step, ...end]);
await sent.sendMessage();
const resumed = chatOf([...step, ...end]);
await resumed.resumeStream();
const cut = chatOf(step);
await cut.sendMessage();
const seen = `sent: ${kindsOf(sent)}; resumed: ${kindsOf(resumed)}; without finish: ${cut.status}`;
console.log("ai 7.0.173");
console.log(seen);
process.exit(seen === "sent: tool-weather, text; resumed: text; without finish: ready" ? 0 : 1);
JS
timeout 60 node probe.mjs
