"""A chat in the terminal. The conversation is in a file; each turn is one job, so that a crash loses nothing.

    tokentail up                        # in one shell
    python examples/chat/terminal.py    # in another; Ctrl-C in mid-answer, then start it again

The file has the messages so far and the job of the answer that is being made. It is written before the answer is read,
so that a program that was killed finds the job again, and prints the answer to its end.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tokentail.client import Client

PLACE = Path(os.environ.get("CHAT_FILE", "chat.json"))


def main() -> None:
    state: dict[str, Any] = {"messages": [], "job": None}
    if PLACE.exists():
        state = json.loads(PLACE.read_text())
    with Client(
        os.environ.get("TOKENTAIL_URL", "http://127.0.0.1:8000"), os.environ.get("TOKENTAIL_API_KEY")
    ) as client:
        if state["job"]:
            print("(resuming)")
            finish(client, state)
        print("> ", end="", flush=True)
        for question in sys.stdin:
            state["messages"].append({"role": "user", "content": question.strip()})
            state["job"] = client.submit(messages=state["messages"], max_tokens=300).id
            keep(state)
            finish(client, state)
            print("> ", end="", flush=True)


def finish(client: Client, state: dict[str, Any]) -> None:
    """Print the answer that is being made, and put it into the conversation."""
    text = ""
    for update in client.follow(state["job"]):
        if update.is_reset and text:
            print("\n(started again)")
        print(update.text, end="", flush=True)
        text = update.applied_to(text)
    print()
    if text:
        state["messages"].append({"role": "assistant", "content": text})
    else:
        state["messages"].pop()  # the model gave no answer: the question is not part of the conversation
    state["job"] = None
    keep(state)


def keep(state: dict[str, Any]) -> None:
    """Replace the file at once, so that it is never half written."""
    new = PLACE.with_suffix(".new")
    new.write_text(json.dumps(state))
    new.replace(PLACE)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\n(the answer goes on; start this program again to read it)")
