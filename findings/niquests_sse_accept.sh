#!/usr/bin/env bash
# niquests 3.21.2: a request by its own scheme for Server-Sent Events, `psse://`, says `Accept: */*`, as any other. (The
# EventSource of WHATWG HTML 9.2.2 says `text/event-stream`.) A server that gives events only to clients that ask for
# them needs the header by hand: `headers={"Accept": "text/event-stream"}`. (On 127.0.0.1.)
# Seen: "accepts */*". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check niquests==3.21.2
"$folder/venv/bin/python" - <<'PY'
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import niquests

accepted = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        accepted.append(self.headers["Accept"])
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(b"data: hi\n\n")

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
Thread(target=server.serve_forever, daemon=True).start()
response = niquests.get(f"psse://127.0.0.1:{server.server_port}/")
event = response.extension.next_payload()
print(f"niquests {niquests.__version__} reads {event.data!r} and accepts {accepted[0]}")
sys.exit(accepted != ["*/*"])
PY
