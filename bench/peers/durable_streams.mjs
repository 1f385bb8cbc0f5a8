// The Durable Streams reference server, everything in memory: node durable_streams.mjs PORT
// Its CommonJS build: the other one asks for a file of a dependency that need not be installed.
import { createRequire } from "node:module"

const { DurableStreamTestServer } = createRequire(import.meta.url)("@durable-streams/server")
await new DurableStreamTestServer({ host: "127.0.0.1", port: Number(process.argv[2]) }).start()
