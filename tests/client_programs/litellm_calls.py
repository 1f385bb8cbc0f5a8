"""LiteLLM's own calls, by Chat Completions or by Responses: `python litellm_calls.py URL chat|responses`."""

import json
import os
import sys
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "true"  # it would fetch its prices

import litellm

litellm.suppress_debug_info = True  # what it prints about an error

URL, WAY = sys.argv[1:]
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = {"name": "weather", "description": "The weather of a city.", "parameters": PARAMETERS}
HI = [{"role": "user", "content": "Hi"}]
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def ask(name: str, asked: Any, **options: Any) -> Any:
    options |= {"model": f"openai/scripted/{name}", "api_base": f"{URL}/openai/v1", "api_key": "any"}
    return litellm.completion(messages=asked, **options) if WAY == "chat" else litellm.responses(input=asked, **options)


def weather(arguments: str) -> str:
    return f"18 degrees in {json.loads(arguments)['city']}"


def error() -> Any:
    try:
        ask("busy", HI)
    except Exception as refused:
        return getattr(refused, "status_code", str(refused))
    return None


def by_chat() -> dict[str, Any]:
    whole = ask("weather", HI)
    chunks = list(ask("weather", HI, stream=True))
    tools = [{"type": "function", "function": WEATHER}]
    called = litellm.stream_chunk_builder(list(ask("weather", HI, tools=tools, stream=True))).choices[0].message
    (call,) = called.tool_calls
    answered = {"role": "tool", "tool_call_id": call.id, "content": weather(call.function.arguments)}
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": SCHEMA, "strict": True}}
    return {
        "whole": whole.choices[0].message.content,
        "stream": "".join(chunk.choices[0].delta.content or "" for chunk in chunks),
        "tools": ask("weather", [*HI, called, answered], tools=tools).choices[0].message.content,
        "reasoning": called.reasoning_content,
        "object": json.loads(ask("json", HI, response_format=form).choices[0].message.content),
        "job": whole.id,
    }


def by_responses() -> dict[str, Any]:
    whole = ask("weather", HI)
    events = list(ask("weather", HI, stream=True))
    tools = [{"type": "function", "strict": False, **WEATHER}]
    called = list(ask("weather", HI, tools=tools, stream=True))[-1].response
    thought, call = called.output
    output = {"type": "function_call_output", "call_id": call.call_id, "output": weather(call.arguments)}
    form = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}}
    return {
        "whole": whole.output_text,
        "stream": "".join(event.delta for event in events if event.type == "response.output_text.delta"),
        "tools": ask("weather", [output], tools=tools, previous_response_id=called.id).output_text,
        "reasoning": thought.summary[0].text,
        "object": json.loads(ask("json", HI, text=form).output_text),
        "job": whole._hidden_params["additional_headers"]["llm_provider-x-request-id"],
    }


print(json.dumps({**(by_chat() if WAY == "chat" else by_responses()), "error": error()}))
