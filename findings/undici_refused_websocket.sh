#!/usr/bin/env bash
# npm undici 6.21.3, whose WebSocket is that of Node 22: a handshake that the server refuses (400) fires `error` and never
# `close`, and the socket stays CONNECTING. WHATWG's WebSockets 3.1 fires both when a connection fails. undici 7.16.0, as in
# Node 24, does. A client that listens to `close` alone waits for ever.
# (The server is of this script, on 127.0.0.1. Node 20 or newer.)
# Seen: "6.21.3: error; 7.16.0: error, close". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund older@npm:undici@6.21.3 newer@npm:undici@7.16.0
cat > probe.js <<'JS'
const http = require("node:http");

const server = http.createServer();
server.on("upgrade", (request, socket) => socket.end("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"));

function fired(WebSocket, port) {
  const seen = [];
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
  for (const name of ["open", "error", "close"]) socket.addEventListener(name, () => seen.push(name));
  return new Promise((resolve) => setTimeout(() => resolve(seen.join(", ")), 3000));
}

server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address();
  const [older, newer] = await Promise.all([require("older"), require("newer")].map((one) => fired(one.WebSocket, port)));
  console.log(`6.21.3: ${older}; 7.16.0: ${newer}`);
  process.exit(older === "error" && newer === "error, close" ? 0 : 1);
});
JS
timeout 60 node probe.js
