#!/usr/bin/env bash
# fakeredis 2.40.0 (with lua): the error that `redis.pcall` returns has a field `err` that is no Lua string. In Redis and
# Valkey it is one, so `string.find(reply.err, …)` works there; here it needs `tostring(reply.err)` first.
# Seen: "type of err: userdata". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check 'fakeredis[lua]==2.40.0' redis==8.1.0
cat > "$folder/probe.py" <<'PY'
import fakeredis

client = fakeredis.FakeRedis()
client.set("text", "a")
found = client.eval("local reply = redis.pcall('LPUSH', KEYS[1], 'b'); return type(reply.err)", 1, "text").decode()
print("type of err:", found)
raise SystemExit(0 if found == "userdata" else 1)
PY
timeout 60 "$folder/venv/bin/python" "$folder/probe.py"
