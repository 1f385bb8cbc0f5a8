#!/usr/bin/env bash
# sentry-sdk 2.75.0 with Flask: an error event holds the body of the request and the local variables of each frame, so a
# prompt that was posted leaves the house with the first exception. It does so by its defaults and also with
# `send_default_pii=False`; both `max_request_body_size="never"` and `include_local_variables=False` are needed.
# Seen: True for the defaults and for each option alone, False for the two together. The script fails if that changes.
# Nothing is sent: the transport keeps the events.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check sentry-sdk==2.75.0 flask==3.1.3
cat > "$folder/probe.py" <<'PY'
import os
import sys

import sentry_sdk
from flask import Flask, request
from sentry_sdk.transport import Transport

PROMPT = "-".join(("a", "prompt", str(os.getpid())))  # not in the source, of which events quote lines
OFF = {"send_default_pii": False, "max_request_body_size": "never", "include_local_variables": False}
sent = []


class Kept(Transport):
    def capture_envelope(self, envelope):
        sent.append(envelope.serialize().decode())


options = {name: OFF[name] for name in sys.argv[1:]}
sentry_sdk.init(dsn="https://key@example.invalid/1", transport=Kept, **options)
app = Flask("probe")
app.logger.disabled = True


@app.post("/jobs")
def submit():
    asked = request.get_json()
    raise RuntimeError(len(asked))


app.test_client().post("/jobs", json={"prompt": PROMPT})
sentry_sdk.flush()
assert any("RuntimeError" in event for event in sent)
print(any(PROMPT in event for event in sent))
PY
probe() { timeout 60 "$folder/venv/bin/python" "$folder/probe.py" "$@"; }
seen="$(probe) $(probe send_default_pii) $(probe max_request_body_size) $(probe include_local_variables)"
seen="$seen $(probe max_request_body_size include_local_variables)"
echo "sentry-sdk 2.75.0: the prompt is in the event: $seen"
test "$seen" = "True True True True False"
