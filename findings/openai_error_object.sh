#!/usr/bin/env bash
# openai 3.57.0: an error amid a stream of Chat Completions in the form `{"object": "error", "message": …}`, as vLLM has
# sent it, raises nothing. The program gets it as one more chunk, whose `choices` is None, and then the stream ends well.
# An error in the form `{"error": {…}}` raises APIError.
# (The server is one of this script, on 127.0.0.1.)
# Seen: "object: a chunk with choices None" and "error: APIError". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openai==3.57.0
cat > "$folder/probe.py" <<'PY'
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

ERRORS = {
    "object": {"object": "error", "message": "The engine died.", "type": "InternalServerError", "code": 500},
    "error": {"error": {"message": "The engine died.", "type": "InternalServerError", "code": 500}},
}
TEXT = {
    "id": "c",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "delta": {"content": "Half"}, "finish_reason": None}],
}


class Server(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in (TEXT, ERRORS[asked["model"]]):
            self.wfile.write(b"data: " + json.dumps(event).encode() + b"\n\n")
        self.wfile.write(b"data: [DONE]\n\n")


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")
seen = {}
for form in ERRORS:
    try:
        *_, last = client.chat.completions.create(
            model=form, messages=[{"role": "user", "content": "Count."}], stream=True
        )
        seen[form] = f"a chunk with choices {last.choices}"
    except openai.APIError as error:
        seen[form] = type(error).__name__
    print(f"{form}: {seen[form]}")
raise SystemExit(0 if seen == {"object": "a chunk with choices None", "error": "APIError"} else 1)
PY
timeout 60 "$folder/venv/bin/python" "$folder/probe.py"
