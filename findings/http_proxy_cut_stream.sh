#!/usr/bin/env bash
# npm http-proxy 1.18.1: the server behind it closes its connection in the middle of a chunked response. The client
# sees nothing of it: its response neither ends nor fails, and its connection stays open. (Node's own `http.get` of the same
# server fails with "aborted" at once.) The proxy does not emit `error` either; `proxyRes` gives a response that emits
# `aborted`: a program can listen to that, and destroy the client's response.
# (Both servers are of this script, on 127.0.0.1. Node 18 or newer.)
# Seen: "directly: aborted; through http-proxy: nothing within 3 s; with a listener to aborted: aborted".
# The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund http-proxy@1.18.1
cat > probe.js <<'JS'
const http = require("node:http");
const httpProxy = require("http-proxy");

const dying = http.createServer((request, response) => {
  response.write("data: begun\n\n");
  setTimeout(() => response.socket.end(), 200);
});
const listening = (server) => new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));

function seen(port) {
  return new Promise((resolve) => {
    const request = http.get({ port, host: "127.0.0.1", agent: false }, (response) => {
      response.on("end", () => resolve("a whole response"));
      response.on("error", (error) => resolve(error.message));
      response.resume();
    });
    setTimeout(() => resolve("nothing within 3 s") || request.destroy(), 3000);
  });
}

async function through(target, listen) {
  const proxy = httpProxy.createProxyServer({ target: `http://127.0.0.1:${target}` });
  proxy.on("error", () => console.log("the proxy emits error"));
  if (listen) proxy.on("proxyRes", (answer, request, response) => answer.on("aborted", () => response.destroy()));
  return seen(await listening(http.createServer((request, response) => proxy.web(request, response))));
}

(async () => {
  const port = await listening(dying);
  const [directly, plain, mended] = [await seen(port), await through(port, false), await through(port, true)];
  console.log(`directly: ${directly}; through http-proxy: ${plain}; with a listener to aborted: ${mended}`);
  process.exit(directly === "aborted" && plain === "nothing within 3 s" && mended === "aborted" ? 0 : 1);
})();
JS
timeout 60 node probe.js
