#!/usr/bin/env bash
# redis-py 8.1.0: socket_connect_timeout and socket_timeout do not bound the look-up of the server's name.
# A name server that does not answer is stood in for by a look-up that takes three seconds. The script prints how long a
# PING with a limit of 0.3 s takes, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0
cat > "$folder/probe.py" <<'PY'
import socket, time

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def slow(*_, **__):
    time.sleep(3)
    raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


socket.getaddrinfo = slow
client = redis.Redis("redis.example", socket_connect_timeout=0.3, socket_timeout=0.3, retry=Retry(NoBackoff(), 0))
began = time.monotonic()
try:
    client.ping()
except redis.exceptions.RedisError as error:
    print(f"{redis.__version__}: {type(error).__name__} after {time.monotonic() - began:.0f} s")
PY
timeout 60 "$folder/venv/bin/python" "$folder/probe.py" | tee "$folder/seen"
grep -Eq "^8.1.0: [A-Za-z]+ after [3-9] s" "$folder/seen"
