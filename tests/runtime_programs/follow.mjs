// What tokentail.js does in this runtime: `node follow.mjs URL`. Prints JSON.

import { Tokentail } from "./tokentail.js";

const url = globalThis.Deno?.args[0] ?? process.argv[2];
const MODEL = "demo?tokens=40&tps=40";

export async function tell(url) {
  const told = {};
  const tokentail = new Tokentail({ url });
  for (const transport of ["sse", "websocket", "long", "short", "auto"]) {
    try {
      const job = await tokentail.submit({ prompt: transport, model: MODEL });
      let [text, steps] = ["", 0];
      const used = new Set();
      for await (const step of tokentail.follow(job.id, { transport })) {
        text = (step.reset ? "" : text) + step.tokens.join("");
        steps += step.tokens.length > 0;
        used.add(step.transport);
      }
      told[transport] = { isWhole: text !== "" && text === (await tokentail.text(job.id)), steps, used: [...used] };
    } catch (error) {
      told[transport] = { error: String(error) };
    }
  }
  const job = await tokentail.submit({ prompt: "stop", model: "demo?tokens=4000&tps=10" });
  const controller = new AbortController();
  try {
    for await (const step of tokentail.follow(job.id, { signal: controller.signal })) if (step.tokens.length) controller.abort();
    told.abort = "ended";
  } catch (error) {
    told.abort = error.name;
  }
  told.cancel = (await tokentail.cancel(job.id)).status;
  return told;
}

console.log(JSON.stringify(await tell(url)));
(globalThis.Deno ?? process).exit(0);
