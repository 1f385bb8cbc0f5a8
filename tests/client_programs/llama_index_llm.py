"""LlamaIndex's OpenAI classes, by Chat Completions or by Responses: `python llama_index_llm.py URL chat|responses`.

It takes names of OpenAI's models only, so it asks for one that the deployment lists.
"""

import json
import sys
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai import OpenAI, OpenAIResponses

URL, WAY = sys.argv[1:]
LLM: Any = OpenAIResponses if WAY == "responses" else OpenAI
HI = [ChatMessage(role="user", content="Hi")]


def model(name: str = "gpt-4.1-mini") -> Any:
    return LLM(model=name, api_base=f"{URL}/openai/v1", api_key="any", max_retries=0)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"18 degrees in {city}"


def error() -> Any:
    try:
        model("gpt-4.1-nano").chat(HI)
    except Exception as refused:
        return getattr(refused, "status_code", str(refused))
    return None


whole = model().chat(HI)
print(
    json.dumps(
        {
            "whole": whole.message.content,
            "stream": "".join(piece.delta or "" for piece in model().stream_chat(HI)),
            "tools": str(model().predict_and_call([FunctionTool.from_defaults(weather)], "Hi")),
            "error": error(),
            "job": whole.raw.id,
        }
    )
)
