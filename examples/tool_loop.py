"""A model that uses a tool: it calls `list_files` as often as it likes, then answers.

    python examples/tool_loop.py "How many files are here, and which is the largest?"

The loop builds each next request from the log alone. What a provider wants back of its own answers (signatures,
encrypted reasoning) is in the events as it gave it, and goes into the message unchanged, whatever the provider.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from tokentail.client import Client

SERVER = os.environ.get("TOKENTAIL_URL", "http://127.0.0.1:8000")
MOST_TURNS = 8
TOOL = {
    "type": "function",
    "function": {
        "name": "list_files",
        "description": "List the files of a folder below the current one, with their sizes in bytes.",
        "parameters": {"type": "object", "properties": {"folder": {"type": "string"}}},
    },
}

Message = dict[str, Any]


def list_files(folder: str = ".") -> str:
    """The tool itself. A model may call it with anything, so it stays below the current folder."""
    here = Path.cwd().resolve()
    wanted = (here / folder).resolve()
    if not wanted.is_relative_to(here) or not wanted.is_dir():
        return json.dumps({"error": "there is no such folder here"})
    return json.dumps({file.name: file.stat().st_size for file in sorted(wanted.iterdir()) if file.is_file()})


def result_of(call: Message) -> str:
    """What the tool gives for a call, or what is wrong with the call: the model can try again."""
    if call["function"]["name"] != "list_files":
        return json.dumps({"error": "there is no such tool"})
    try:
        return list_files(**json.loads(call["function"]["arguments"] or "{}"))
    except (TypeError, ValueError, OSError) as error:
        return json.dumps({"error": str(error)})


def answer_of(client: Client, messages: list[Message]) -> Message:
    """The model's next message. `reset` means that the model began anew: what came before it does not count."""
    job = client.submit(messages=messages, tools=[TOOL], model=os.environ.get("MODEL"))
    events: list[Any] = []
    for update in client.follow(job.id, events=True):
        events = [*([] if update.is_reset else events), *update.events]
        if update.is_done and update.status != "completed":
            raise SystemExit(f"The job {update.status}: {(update.error or {}).get('message', '')}")
    return message_of(events)


def message_of(events: list[Any]) -> Message:
    """The message of the assistant that an answer's events are, for the next request."""
    message: Message = {"role": "assistant", "content": "".join(e for e in events if isinstance(e, str)) or None}
    calls: dict[int, Message] = {}
    for event in (event for event in events if not isinstance(event, str)):
        if event["type"] == "reasoning":
            message["reasoning_content"] = message.get("reasoning_content", "") + event["text"]
            if "provider_state" in event:
                message["provider_state"] = event["provider_state"]  # a later one replaces an earlier one
        elif event["type"] == "tool_call":
            call = calls.setdefault(event["index"], {"type": "function", "function": {"name": "", "arguments": ""}})
            call["function"]["arguments"] += event["arguments"]
            if event.get("id"):  # which the first piece of a call has, with the name
                call["id"], call["function"]["name"] = event["id"], event["name"]
            if "provider_state" in event:
                call["provider_state"] = event["provider_state"]
    if calls:
        message["tool_calls"] = list(calls.values())
    return message


def main() -> None:
    """Ask, run the tool as often as the model calls it, and print the answer."""
    messages: list[Message] = [{"role": "user", "content": sys.argv[1]}]
    with Client(SERVER, os.environ.get("TOKENTAIL_API_KEY")) as client:
        for _ in range(MOST_TURNS):
            messages.append(answer_of(client, messages))
            calls = messages[-1].get("tool_calls", [])
            for call in calls:
                print(f"{call['function']['name']}({call['function']['arguments']})", file=sys.stderr)
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result_of(call)})
            if not calls:
                print(messages[-1]["content"] or "")
                return
    raise SystemExit(f"The model was still calling tools after {MOST_TURNS} turns.")


if __name__ == "__main__":
    main()
