// One program of OpenAI's JavaScript SDK: `node program.mjs URL NAME` runs the function of that name and prints its JSON.

import OpenAI from "openai";

const [url, name] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/openai/v1`, apiKey: "any" });
const { chat, responses } = client;
const completions = chat.completions;
const messages = [{ role: "user", content: "How is the weather in Paris?" }];
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] };
const weather = { name: "weather", description: "The weather of a city.", parameters };
const chatTools = [{ type: "function", function: weather }];
const tools = [{ type: "function", strict: false, ...weather }];
const model = "scripted/weather";
const resultOf = (call) => ({ type: "function_call_output", call_id: call.call_id, output: "18 degrees" });

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return { name: error.constructor.name, status: error.status, code: error.code, param: error.param };
  }
  return null;
}

const programs = {
  async chat() {
    const { data, request_id: id } = await completions.create({ model, messages }).withResponse();
    const stream = await completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
    const streamed = { text: "", usage: null };
    for await (const chunk of stream) {
      streamed.text += chunk.choices[0]?.delta.content ?? "";
      streamed.usage = chunk.usage ?? streamed.usage;
    }
    const gathered = await completions.stream({ model, messages }).finalContent();
    const again = await completions.retrieve(data.id);
    return { id, whole: data, streamed, gathered, again: again.choices[0].message.content };
  },

  async tools() {
    const first = await completions.stream({ model, messages, tools: chatTools }).finalChatCompletion();
    const { message, finish_reason: reason } = first.choices[0];
    const answered = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "18 degrees" };
    const second = await completions.create({ model, messages: [...messages, message, answered], tools: chatTools });
    const ran = [];
    const run = (city) => (ran.push(city), "18 degrees");
    const runnable = { type: "function", function: { ...weather, parse: JSON.parse, function: run } };
    const runner = completions.runTools({ model, messages, tools: [runnable], stream: true });
    const refused = await completions.stream({ model: "scripted/refuser", messages }).finalMessage();
    return { message, reason, second: second.choices[0].message.content, runner: await runner.finalContent(), ran, refused };
  },

  async errors() {
    return {
      model: await refusal(() => completions.create({ model: "nothing-like-it", messages })),
      field: await refusal(() => completions.create({ model, messages, n: 2 })),
      path: await refusal(() => client.embeddings.create({ model, input: "x" })),
      item: await refusal(() => responses.create({ model, input: [{ type: "item_reference", id: "msg_nothing_0" }] })),
      busy: await refusal(() => completions.create({ model: "scripted/busy", messages })),
    };
  },

  async responses() {
    const whole = await responses.create({ model, input: "Hi" });
    const first = await responses.stream({ model, input: messages, tools }).finalResponse();
    const call = first.output.at(-1);
    const next = { model, tools };
    const named = await responses.create({ ...next, input: [resultOf(call)], previous_response_id: first.id });
    const references = first.output.map(({ id }) => ({ type: "item_reference", id }));
    const referred = await responses.create({ ...next, input: [...messages, ...references, resultOf(call)] });
    const sent = await responses.create({ ...next, input: [...messages, ...first.output, resultOf(call)] });
    return {
      whole: whole.output_text, usage: whole.usage, types: first.output.map(({ type }) => type), call,
      second: [named, referred, sent].map((response) => response.output_text),
    };
  },

  async background() {
    const made = await responses.create({ model, input: "Hi", background: true });
    const events = [];
    for await (const event of await responses.retrieve(made.id, { stream: true })) events.push(event);
    const after = events[Math.floor(events.length / 2)].sequence_number;
    const rest = [];
    for await (const event of await responses.retrieve(made.id, { stream: true, starting_after: after })) rest.push(event);
    const gathered = await responses.stream({ response_id: made.id, starting_after: after }).finalResponse();
    const endless = await responses.create({ model: "scripted/endless", input: "Hi", background: true });
    const cancelled = await responses.cancel(endless.id);
    await responses.delete(endless.id);
    const gone = await refusal(() => responses.retrieve(endless.id));
    return {
      made: made.status, numbers: events.map((event) => event.sequence_number), after,
      rest: rest.map((event) => event.sequence_number), gathered: gathered.output_text,
      cancelled: cancelled.status, gone,
    };
  },

  async unwrap() {
    const { body, headers, secret } = JSON.parse(process.argv[4]);
    const event = await client.webhooks.unwrap(body, headers, secret);
    const forged = await refusal(() => client.webhooks.unwrap(body + " ", headers, secret));
    return { type: event.type, id: event.data.id, forged: forged.name };
  },

  async leave() {
    const stream = await completions.create({ model: "scripted/endless", messages, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) return { id: chunk.id };
    }
    return null;
  },
};

console.log(JSON.stringify(await programs[name]()));
