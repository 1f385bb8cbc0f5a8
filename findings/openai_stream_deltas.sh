#!/usr/bin/env bash
# openai 3.57.0: `chat.completions.stream()` and its accumulator, ChatCompletionStreamState, refuse two kinds of deltas that
# `create(stream=True)` passes on. A delta of a tool call without `function` (as one that only adds a field of its own)
# raises AssertionError; further `annotations` without an `index` raise RuntimeError. With both, the same deltas are joined.
# Seen: "call: AssertionError", "annotations: RuntimeError", "with both: joined". The script fails if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check openai==3.57.0
cat > "$folder/probe.py" <<'PY'
import openai
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk

ROLE = {"role": "assistant", "content": ""}
CALL = {"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}
CITED = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 0}}
DELTAS = {
    "call": [CALL, {"tool_calls": [{"index": 0, "signature": "s"}]}],
    "annotations": [{"annotations": [CITED]}, {"annotations": [CITED]}],
    "with both": [
        CALL,
        {"tool_calls": [{"index": 0, "function": {"arguments": ""}, "signature": "s"}]},
        {"annotations": [{"index": 0, **CITED}]},
        {"annotations": [{"index": 1, **CITED}]},
    ],
}


def outcome(deltas):
    state = ChatCompletionStreamState()
    try:
        for delta in [ROLE, *deltas]:
            choice = {"index": 0, "delta": delta, "finish_reason": None}
            shared = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            state.handle_chunk(ChatCompletionChunk.model_validate({**shared, "choices": [choice]}))
    except Exception as error:
        return type(error).__name__
    return "joined"


print("openai", openai.__version__)
seen = {name: outcome(deltas) for name, deltas in DELTAS.items()}
for name, found in seen.items():
    print(f"{name}: {found}")
raise SystemExit(seen != {"call": "AssertionError", "annotations": "RuntimeError", "with both": "joined"})
PY
timeout 60 "$folder/venv/bin/python" "$folder/probe.py"
