#!/usr/bin/env bash
# RQ 3.0.0: `enqueue(…, job_id=ID, unique=True)` asks only whether the key `rq:job:ID` exists. Where that key holds anything
# else than a job (here: a text), it raises DuplicateJobError as if the job were queued, and nothing is enqueued.
# A program that takes this error for "an earlier try got through" loses the job.
# Seen: "raised: DuplicateJobError; in the queue: 0". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check rq==3.0.0 'fakeredis[lua]==2.40.0' redis==8.1.0
cat > "$folder/probe.py" <<'PY'
import fakeredis
from rq import Queue

client = fakeredis.FakeRedis()
client.set("rq:job:one", "no job")
queue = Queue("names", connection=client)
try:
    queue.enqueue("builtins.print", job_id="one", unique=True)
    raised = "nothing"
except Exception as error:
    raised = type(error).__name__
print(f"raised: {raised}; in the queue: {len(queue)}")
raise SystemExit(0 if (raised, len(queue)) == ("DuplicateJobError", 0) else 1)
PY
timeout 60 "$folder/venv/bin/python" "$folder/probe.py"
