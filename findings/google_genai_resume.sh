#!/usr/bin/env bash
# google-genai 3.6.1: a Gemini stream gives a continuation token, then more text, and is cut. The client takes it up from
# the token, and the server sends what follows the token. The client gives the text behind the token to the program a
# second time: it keeps the token, and not how much came after it.
# (The server is one of this script, on 127.0.0.1.)
# Seen: "text: One, two, two, three." and "tokens sent: [None, 'dG9r']". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check google-genai==3.6.1
cat > "$folder/probe.py" <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google import genai

tokens = []


class Gemini(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def chunk(self, text, **fields):
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, **fields}
        event = b"data: " + json.dumps({"candidates": [candidate]}).encode() + b"\r\n\r\n"
        self.wfile.write(b"%x\r\n%b\r\n" % (len(event), event))

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        tokens.append(asked.get("continuationToken"))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if len(tokens) == 1:
            self.chunk("One, ", continuationToken="dG9r")
            self.chunk("two, ")
            self.close_connection = True  # without the last chunk: the body is cut
        else:
            self.chunk("two, three.", finishReason="STOP")
            self.wfile.write(b"0\r\n\r\n")


server = ThreadingHTTPServer(("127.0.0.1", 0), Gemini)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = genai.Client(api_key="none", http_options={"base_url": f"http://127.0.0.1:{server.server_port}"})
text = "".join(part.text or "" for part in client.models.generate_content_stream(model="gemini-4", contents="Count."))
print("text:", text)
print("tokens sent:", tokens)
raise SystemExit(0 if (text, tokens) == ("One, two, two, three.", [None, "dG9r"]) else 1)
PY
timeout 60 "$folder/venv/bin/python" "$folder/probe.py"
