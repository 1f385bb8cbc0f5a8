// Their suite, against the server whose address is in CONFORMANCE_URL.
import { runConformanceTests } from "@durable-streams/server-conformance-tests"
runConformanceTests({ baseUrl: process.env.CONFORMANCE_URL, longPollTimeoutMs: 3000 })
