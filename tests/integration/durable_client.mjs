// Reads streams with @durable-streams/client, all at once: node durable_client.mjs '[{"url", "offset"?, "live", "kind"}, …]'
// Prints what each read gave, as JSON.
import { stream } from "@durable-streams/client"

const read = async ({ url, offset, live, kind }) => {
  const seen = []
  let answer
  try {
    answer = await stream({ url, offset, live })
    answer.closed.catch(() => {})
    for await (const piece of kind === "events" ? answer.jsonStream() : answer.textStream()) seen.push(piece)
    return { seen, offset: answer.offset, error: null, status: null, is_closed: answer.streamClosed }
  } catch (error) {
    const [offset, is_closed] = [answer?.offset ?? null, answer?.streamClosed ?? false]
    return { seen, offset, error: error.name, status: error.status ?? null, is_closed }
  }
}

console.log(JSON.stringify(await Promise.all(JSON.parse(process.argv[2]).map(read))))
