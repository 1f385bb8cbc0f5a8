#!/usr/bin/env bash
# Clients of Durable Streams that do not read live take one response for the whole stream, although the server has more:
# it has no `Stream-Up-To-Date` (PROTOCOL.md 5.6: "SHOULD NOT be present when returning partial data"). So do `text()` of
# npm @durable-streams/client 0.2.7 and `read_text()` of PyPI durable-streams 0.1.0; the latter's `iter_text()` reads on.
# (The server is one of this script, on 127.0.0.1. Node 18 or newer.)
# Seen: "text(): one, read_text(): one, iter_text(): one two". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $server 2> "$folder/kill" || true; rm -rf "$folder"' EXIT
cd "$folder"
echo '{"private": true, "type": "module"}' > package.json
npm install --silent --no-audit --no-fund @durable-streams/client@0.2.7
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check durable-streams==0.1.0
cat > server.js <<'JS'
import http from "node:http";

const server = http.createServer((request, response) => {
  const isFirst = new URL(request.url, "http://here").searchParams.get("offset") !== "0001";
  const place = isFirst ? { "Stream-Next-Offset": "0001" } : { "Stream-Next-Offset": "0002", "Stream-Up-To-Date": "true", "Stream-Closed": "true" };
  response.writeHead(200, { "Content-Type": "text/plain", ...place });
  response.end(isFirst ? "one" : " two");
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
JS
cat > probe.js <<'JS'
import { stream } from "@durable-streams/client";
const answer = await stream({ url: process.argv[2], live: false });
console.log(await answer.text());
JS
cat > probe.py <<'PY'
import sys

from durable_streams import stream

with stream(sys.argv[1], live=False) as answer:
    print(answer.read_text() if sys.argv[2] == "read" else "".join(answer.iter_text()))
PY
node server.js > port &
server=$!
until [ -s port ]; do sleep 0.1; done
url="http://127.0.0.1:$(cat port)/"
python="venv/bin/python probe.py $url"
seen="text(): $(node probe.js "$url"), read_text(): $($python read), iter_text(): $($python iterate)"
echo "$seen"
[ "$seen" = "text(): one, read_text(): one, iter_text(): one two" ]
