"""A function that may run for only 10 seconds, as on many platforms, reads an answer that takes minutes.

    python examples/ten_seconds.py "Why is the sky blue?"

`handler` is stateless. Each call reads for as long as it may and returns a state: job, cursor, and the text so far. The
caller passes that state to the next call. If a call is killed, the caller repeats it with the same state.
"""

import json
import os
import sys
import time
import uuid
from typing import Any

import requests

SERVER = os.environ.get("TOKENTAIL_URL", "http://127.0.0.1:8000")
KEY = {"Authorization": f"Bearer {os.environ['TOKENTAIL_API_KEY']}"} if "TOKENTAIL_API_KEY" in os.environ else {}
TIME_LIMIT_S = float(os.environ.get("TIME_LIMIT_S", "10"))
RESERVE_S = TIME_LIMIT_S / 5  # for the last response to arrive

State = dict[str, Any]


def handler(event: State) -> State:
    """Start with `{"prompt", "request_id"}`, or continue with the state returned last, until `done` is true in it."""
    deadline = time.monotonic() + TIME_LIMIT_S - RESERVE_S
    state = dict(event)
    try:
        if "job" not in state:
            # A repeated request_id gives the same job, so the caller may repeat a call that failed.
            headers = {**KEY, "Idempotency-Key": state["request_id"]}
            body = {"prompt": state["prompt"]}
            job = checked(requests.post(f"{SERVER}/v1/jobs", json=body, headers=headers, timeout=left_s(deadline)))
            state = {"job": job["id"], "cursor": "0", "text": "", "done": False}
        while not state["done"] and left_s(deadline) > RESERVE_S / 2:
            wait_s = left_s(deadline) - RESERVE_S / 2
            query = {"cursor": state["cursor"], "wait": f"{wait_s:.1f}", "linger_ms": "500"}
            address = f"{SERVER}/v1/jobs/{state['job']}/tokens"
            poll = checked(requests.get(address, params=query, headers=KEY, timeout=left_s(deadline)))
            text = ("" if poll["reset"] else state["text"]) + "".join(poll["tokens"])
            state = {**state, "cursor": poll["cursor"], "text": text, "done": poll["done"], "status": poll["status"]}
            time.sleep(min(poll["poll_after_ms"] / 1000, left_s(deadline)))
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError, Busy):
        time.sleep(min(1, left_s(deadline)))  # the state so far is valid; the next call continues
    return state


class Busy(Exception):
    """The server is overloaded or away for a moment."""


def checked(answer: requests.Response) -> State:
    """The body of a successful response. Raises Busy, or HTTPError for errors that no retry changes."""
    if answer.status_code in {429, 502, 503, 504}:
        raise Busy
    answer.raise_for_status()
    body: State = answer.json()
    return body


def left_s(deadline: float) -> float:
    """The seconds until the deadline; never 0, which requests refuses as a timeout."""
    return max(deadline - time.monotonic(), 0.01)


def main() -> None:
    """The caller, which may be a queue, a timer or a browser. Every state passes through JSON."""
    state: State = {"prompt": sys.argv[1], "request_id": uuid.uuid4().hex}
    while not state.get("done"):
        began = time.monotonic()
        state = json.loads(json.dumps(handler(state)))
        took_s = time.monotonic() - began
        print(f"{took_s:.1f} s: {len(state.get('text', ''))} characters", file=sys.stderr)
    print(state["text"])


if __name__ == "__main__":
    main()
