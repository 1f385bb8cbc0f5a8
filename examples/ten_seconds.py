"""A function that may run for 10 seconds only, as many platforms have them, and an answer that takes minutes.

    python examples/ten_seconds.py "Why is the sky blue?"

`handler` keeps nothing. Each call reads for as long as it may and returns a state, which whoever calls hands back: job,
cursor, and the text so far. A call that is killed in the middle loses nothing: call again with the state before it.
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
RESERVE_S = TIME_LIMIT_S / 5  # for the way back of the last answer

State = dict[str, Any]


def handler(event: State) -> State:
    """`{"prompt", "request_id"}` begins, and each state that was returned goes on, until its `done` is true."""
    deadline = time.monotonic() + TIME_LIMIT_S - RESERVE_S
    state = dict(event)
    try:
        if "job" not in state:
            # The same request_id, the same job: whoever gets no answer may call again.
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
        time.sleep(min(1, left_s(deadline)))  # what it has until now is good; the next call goes on
    return state


class Busy(Exception):
    """The server will be able to answer later."""


def checked(answer: requests.Response) -> State:
    """The body of a good answer. Raises Busy; HTTPError for what no other try changes."""
    if answer.status_code in {429, 502, 503, 504}:
        raise Busy
    answer.raise_for_status()
    body: State = answer.json()
    return body


def left_s(deadline: float) -> float:
    """What is left, and enough of it for a library that takes no 0."""
    return max(deadline - time.monotonic(), 0.01)


def main() -> None:
    """Whoever calls: a queue, a timer, a browser. Every state goes through JSON."""
    state: State = {"prompt": sys.argv[1], "request_id": uuid.uuid4().hex}
    while not state.get("done"):
        began = time.monotonic()
        state = json.loads(json.dumps(handler(state)))
        took_s = time.monotonic() - began
        print(f"{took_s:.1f} s: {len(state.get('text', ''))} characters", file=sys.stderr)
    print(state["text"])


if __name__ == "__main__":
    main()
