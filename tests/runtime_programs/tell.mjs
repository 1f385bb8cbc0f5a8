/** Everything that the client does, in the form of JSON. It is also run in a page, so it uses nothing from around it. */
export async function tell(Tokentail, url) {
  const told = {};
  const tokentail = new Tokentail({ url });
  for (const transport of ["sse", "websocket", "long", "short", "auto"]) {
    try {
      const job = await tokentail.submit({ prompt: transport, model: "demo?tokens=40&tps=40" });
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
