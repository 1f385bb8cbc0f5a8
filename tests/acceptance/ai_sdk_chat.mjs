// One chat of the AI SDK's React package, without a page: `node program.mjs URL CLIENT stock|ours NAME` runs the function
// of that name and prints its JSON. CLIENT is the file of tokentail.js.

import { Chat } from "@ai-sdk/react";
import { DefaultChatTransport, lastAssistantMessageIsCompleteWithToolCalls } from "ai";

const [url, client, way, name] = process.argv.slice(2);
const { TokentailChatTransport } = await import(client);
const api = `${url}/ai-sdk/chat`;
const kept = new Map(); // as a page's localStorage, which outlives a reload
const jobs = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const tools = [{ type: "function", function: { name: "weather", description: "The weather of a city.", parameters } }];

function transportOf(request) {
  return way === "stock" ? new DefaultChatTransport({ api, body: request }) : new TokentailChatTransport({ url, request, jobs });
}

async function until(condition) {
  const deadline = Date.now() + 30_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Not in time: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const textOf = (message) => (message?.parts ?? []).filter(({ type }) => type === "text").map(({ text }) => text).join("");
const jobOf = (chat) => chat.lastMessage?.metadata?.job;
const status = async (job) => (await (await fetch(`${url}/v1/jobs/${job}`)).json()).status;

const programs = {
  async answer() {
    const chat = new Chat({ id: "answer", transport: transportOf({ model: "scripted/weather" }) });
    await chat.sendMessage({ text: "Hi" });
    const { id, metadata, parts } = chat.lastMessage;
    const first = { text: textOf(chat.lastMessage), status: chat.status, isJob: id === metadata.job, usage: metadata.usage };
    await chat.resumeStream();
    const isUnchanged = chat.messages.length === 2 && chat.lastMessage.parts.length === parts.length;
    await chat.sendMessage({ text: "And?" });
    return { first, isUnchanged, second: textOf(chat.lastMessage), count: chat.messages.length };
  },

  async tools() {
    const chat = new Chat({
      id: "tools",
      transport: transportOf({ model: "scripted/weather", tools }),
      sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
      onToolCall({ toolCall: { toolCallId, toolName, input } }) {
        chat.addToolOutput({ tool: toolName, toolCallId, output: `18 degrees in ${input.city}` });
      },
    });
    await chat.sendMessage({ text: "How is it?" });
    await until(() => chat.status === "ready" && textOf(chat.lastMessage));
    const kinds = chat.lastMessage.parts.map(({ type }) => type);
    return { text: textOf(chat.lastMessage), count: chat.messages.length, kinds };
  },

  async reload() {
    const transport = transportOf({ model: "scripted/endless" });
    const chat = new Chat({ id: "reload", transport });
    const sent = chat.sendMessage({ text: "Go on" });
    await until(() => textOf(chat.lastMessage).length > 20 && jobOf(chat));
    const [job, shown] = [jobOf(chat), textOf(chat.lastMessage)];
    await chat.stop(); // as a page does that is left
    await sent;
    const afterLeaving = await status(job);
    const next = new Chat({ id: "reload", transport: transportOf({ model: "scripted/endless" }), messages: chat.messages });
    const resumed = next.resumeStream();
    await until(() => textOf(next.lastMessage).length > shown.length && next.status === "streaming");
    if (way === "stock") await fetch(`${api}/reload/stop`, { method: "POST" });
    else await transport.cancel("reload");
    await resumed;
    const text = textOf(next.lastMessage);
    await next.resumeStream();
    return {
      afterLeaving,
      isWhole: text.startsWith(shown) && text.length > shown.length,
      isOnce: text.indexOf("word 0,") === text.lastIndexOf("word 0,"),
      count: next.messages.length,
      isOneJob: jobOf(next) === job,
      chat: next.status,
      job: await status(job),
      isKept: textOf(next.lastMessage) === text,
    };
  },

  /** The answer to a tool's result, which was left and is resumed. */
  async continued() {
    const tool = { type: "tool-weather", toolCallId: "1", state: "output-available", input: { city: "Paris" }, output: "18 degrees" };
    const messages = [
      { id: "u", role: "user", parts: [{ type: "text", text: "How is it?" }] },
      { id: "a", role: "assistant", parts: [{ type: "step-start" }, tool] },
    ];
    const transport = transportOf({ model: "scripted/endless" });
    const chat = new Chat({ id: "continued", transport, messages });
    const sent = chat.sendMessage();
    await until(() => textOf(chat.lastMessage).length > 20);
    await chat.stop();
    await sent;
    let calls = 0;
    const next = new Chat({ id: "continued", transport: transportOf({}), messages: chat.messages, onToolCall: () => (calls += 1) });
    const resumed = next.resumeStream();
    await until(() => textOf(next.lastMessage).length > 20 && next.status === "streaming");
    const asked = await (await fetch(`${url}/v1/jobs/${jobOf(next)}/request`)).json();
    if (way === "stock") await fetch(`${api}/continued/stop`, { method: "POST" });
    else await transport.cancel("continued");
    await resumed;
    const [, { parts }] = next.messages;
    const { input, output } = parts.find(({ type }) => type === "tool-weather");
    return { ids: next.messages.map(({ id }) => id), kinds: parts.map(({ type }) => type), input, output, calls, asked: asked.messages };
  },

  async errors() {
    const told = {};
    for (const [kind, model] of Object.entries({ busy: "scripted/busy", model: "nothing-like-it" })) {
      const chat = new Chat({ id: kind, transport: transportOf({ model }) });
      await chat.sendMessage({ text: "Hi" });
      told[kind] = { status: chat.status, message: chat.error.message };
    }
    return told;
  },

  /** What the SDK makes of each of the streams on stdin. */
  async streams() {
    let given = "";
    for await (const part of process.stdin) given += part;
    const made = [];
    for (const stream of JSON.parse(given)) {
      const answer = new Response(stream, { headers: { "Content-Type": "text/event-stream" } });
      const chat = new Chat({ id: "any", transport: new DefaultChatTransport({ api, fetch: async () => answer }) });
      await chat.sendMessage({ text: "Hi" });
      made.push({ text: textOf(chat.lastMessage), status: chat.status, error: chat.error?.message ?? null });
    }
    return made;
  },
};

console.log(JSON.stringify(await programs[name]()));
