"""pydantic-ai's agents, by Chat Completions or by Responses: `python pydantic_ai_agent.py URL chat|responses`."""

import asyncio
import json
import sys
from typing import Any

from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

URL, WAY = sys.argv[1:]
MODEL: Any = OpenAIResponsesModel if WAY == "responses" else OpenAIChatModel
PROVIDER = OpenAIProvider(base_url=f"{URL}/openai/v1", api_key="any")


class Person(BaseModel):
    """A structured answer."""

    name: str
    age: int


def agent(name: str, **options: Any) -> Any:
    return Agent(MODEL(name, provider=PROVIDER), **options)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"18 degrees in {city}"


async def error() -> Any:
    try:
        await agent("scripted/busy").run("Hi")
    except Exception as refused:
        return getattr(refused, "status_code", str(refused))
    return None


async def main() -> None:
    whole = await agent("scripted/weather").run("Hi")
    async with agent("scripted/weather").run_stream("Hi") as stream:
        streamed = await stream.get_output()
    tools = await agent("scripted/weather", tools=[weather]).run("Hi")
    person = await agent("scripted/json", output_type=Person).run("Hi")
    told = {"whole": whole.output, "stream": streamed, "tools": tools.output, "object": person.output.model_dump()}
    thoughts = [
        part.content for message in tools.all_messages() for part in message.parts if part.part_kind == "thinking"
    ]
    job = whole.all_messages()[-1].provider_response_id
    print(json.dumps({**told, "reasoning": "".join(thoughts), "error": await error(), "job": job}))


asyncio.run(main())
