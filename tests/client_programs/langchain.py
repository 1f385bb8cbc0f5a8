"""LangChain's ChatOpenAI, by Chat Completions or by Responses: `python langchain.py URL chat|responses`."""

import json
import sys
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

URL, WAY = sys.argv[1:]


def model(name: str, **options: Any) -> Any:
    base_url = f"{URL}/openai/v1"
    return ChatOpenAI(model=name, base_url=base_url, api_key="any", use_responses_api=WAY == "responses", **options)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"18 degrees in {city}"


def error() -> Any:
    try:
        model("scripted/busy").invoke("Hi")
    except Exception as refused:
        return getattr(refused, "status_code", str(refused))
    return None


whole = model("scripted/weather", include_response_headers=True).invoke("Hi")
calling = model("scripted/weather").bind_tools([weather])
called = calling.invoke("Hi")
(call,) = called.tool_calls
answered = ToolMessage(weather(**call["args"]), tool_call_id=call["id"])
schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"], "title": "Person"}
print(
    json.dumps(
        {
            "whole": whole.text,
            "stream": "".join(chunk.text for chunk in model("scripted/weather").stream("Hi")),
            "tools": calling.invoke([HumanMessage("Hi"), called, answered]).text,
            "object": model("scripted/json").with_structured_output({**schema, "description": "One."}).invoke("Hi"),
            "error": error(),
            "job": whole.response_metadata["headers"]["x-request-id"],
        }
    )
)
