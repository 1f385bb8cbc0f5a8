#!/usr/bin/env bash
# hypercorn 0.18.0, with its adapter for WSGI: a response without a body (204, or the answer to a HEAD) becomes a 500,
# because the adapter sends the head with the first part of the body, and there is none. (On 127.0.0.1.)
# Seen: "with a body: 200; without: 500". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "${server:-}" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check hypercorn==0.18.0
cat > "$folder/plain.py" <<'PY'
def application(environ, start_response):
    if environ["PATH_INFO"] == "/empty":
        start_response("204 No Content", [])
        return []
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"hi"]
PY
cd "$folder"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
"$folder/venv/bin/hypercorn" --bind "127.0.0.1:$port" wsgi:plain:application > log 2>&1 &
server=$!
for _ in $(seq 100); do curl -s -o /dev/null "http://127.0.0.1:$port/" && break; sleep 0.1; done
with=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/")
without=$(curl -s -o /dev/null -w '%{http_code}' "http://127.0.0.1:$port/empty")
echo "hypercorn 0.18.0: with a body: $with; without: $without"
[ "$with $without" = "200 500" ]
