// The AI SDK's providers: `node ai_sdk.mjs URL responses|chat|compatible`.

import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, jsonSchema, stepCountIs, streamText, tool } from "ai";

const [url, way] = process.argv.slice(2);
const settings = { baseURL: `${url}/openai/v1`, apiKey: "any" };
const ways = {
  responses: (name) => createOpenAI(settings)(name),
  chat: (name) => createOpenAI(settings).chat(name),
  compatible: (name) => createOpenAICompatible({ name: "tokentail", ...settings })(name),
};
const model = ways[way];
const weather = tool({
  description: "The weather of a city.",
  inputSchema: jsonSchema({ type: "object", properties: { city: { type: "string" } }, required: ["city"] }),
  execute: ({ city }) => `18 degrees in ${city}`,
});

async function error() {
  try {
    await generateText({ model: model("scripted/busy"), prompt: "Hi", maxRetries: 0 });
  } catch (refused) {
    return refused.statusCode ?? String(refused);
  }
  return null;
}

const whole = await generateText({ model: model("scripted/weather"), prompt: "Hi" });
const stream = await streamText({ model: model("scripted/weather"), prompt: "Hi" }).text;
const looped = streamText({ model: model("scripted/weather"), prompt: "Hi", tools: { weather }, stopWhen: stepCountIs(3) });
const tools = await looped.text;
const reasoning = (await looped.steps)[0].reasoningText;
const job = whole.response.headers["x-request-id"];
console.log(JSON.stringify({ whole: whole.text, stream, tools, reasoning, error: await error(), job }));
