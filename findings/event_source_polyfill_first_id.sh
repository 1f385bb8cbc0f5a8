#!/usr/bin/env bash
# npm event-source-polyfill 1.0.31: an event with an `id:` and no `data:` sets no last event id. (WHATWG HTML 9.2.6 sets
# it for each event, and then drops one without data.) A client that is cut off before the first data asks again without
# the id, as if for the first time. After an event with data it sends the id as the query's `lastEventId`.
# (The server is one of this script, on 127.0.0.1. Node 18 or newer, for its fetch.)
# Seen: "after an id alone: none; after an id with data: two". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund event-source-polyfill@1.0.31
cat > probe.js <<'JS'
const http = require("node:http");

const BODIES = ["retry: 10\nid: one\n\n", "id: two\ndata: text\n\n", ""];
const asked = [];
const server = http.createServer((request, response) => {
  asked.push(new URL(request.url, "http://here").searchParams.get("lastEventId") ?? "none");
  response.writeHead(200, { "Content-Type": "text/event-stream" });
  response.end(BODIES[asked.length - 1]);
  if (asked.length < BODIES.length) return;
  const [, alone, withData] = asked;
  console.log(`after an id alone: ${alone}; after an id with data: ${withData}`);
  process.exit(alone === "none" && withData === "two" ? 0 : 1);
});
server.listen(0, "127.0.0.1", () => {
  globalThis.window = globalThis;
  globalThis.document = { readyState: "complete" };
  const { EventSourcePolyfill } = require("event-source-polyfill");
  new EventSourcePolyfill(`http://127.0.0.1:${server.address().port}/`);
});
JS
timeout 60 node probe.js
