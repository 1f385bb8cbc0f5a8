"""OpenAI's Python SDK, unmodified, with a model that reasons, calls tools and refuses."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.acceptance.running import Up, running_up
from tests.tools_upstream import (
    ARGUMENTS,
    REASONING,
    REFUSAL,
    TOOL_CALL_ID,
    ToolsUpstream,
    providers_of,
    tools_upstream,
)

PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL: Any = {"name": "weather", "description": "The weather of a city.", "parameters": PARAMETERS}
CHAT_TOOLS: Any = [{"type": "function", "function": TOOL}]
TOOLS: Any = [{"type": "function", **TOOL, "strict": False}]
ASK: Any = [{"role": "user", "content": "How is the weather in Paris?"}]
RESULT = "18 degrees"
GONE = "0123456789abcdefghjkmnpqrs"  # an id that no job has


@dataclass(frozen=True)
class Deployment:
    """A running `up`, the SDK's client of it, and the upstream of its models."""

    up: Up
    client: OpenAI
    upstream: ToolsUpstream


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("tools")
    providers = folder / "providers.toml"
    with tools_upstream() as upstream:
        providers.write_text(providers_of(upstream))
        with (
            running_up(folder, TOKENTAIL_PROVIDERS=str(providers)) as up,
            OpenAI(base_url=f"{up.url}/openai/v1", api_key="any") as client,
        ):
            yield Deployment(up, client, upstream)


def test_a_chat_calls_a_tool_and_goes_on_with_its_result(deployment: Deployment) -> None:
    """The SDK's accumulator has the call once, with reasoning and usage; the second turn is the dump of the first."""
    chat: Any = deployment.client.chat.completions
    options = {"model": "scripted/weather", "tools": CHAT_TOOLS, "stream_options": {"include_usage": True}}
    with chat.stream(messages=ASK, **options) as stream:
        first = stream.get_final_completion()
    message = first.choices[0].message
    (call,) = message.tool_calls
    assert (call.id, call.function.name, call.function.arguments) == (TOOL_CALL_ID, "weather", ARGUMENTS)
    assert message.reasoning_content == "".join(REASONING)
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.usage.completion_tokens_details.reasoning_tokens == 2
    assert first.usage.prompt_tokens_details.cached_tokens == 3
    whole = chat.create(model="scripted/weather", messages=ASK, tools=CHAT_TOOLS).choices[0].message
    assert whole.content is None
    assert whole.tool_calls[0].model_dump() == {
        "id": TOOL_CALL_ID,
        "type": "function",
        "function": {"name": "weather", "arguments": ARGUMENTS},
    }
    answered = {"role": "tool", "tool_call_id": whole.tool_calls[0].id, "content": RESULT}
    for spoken in (whole.model_dump(), message.model_dump()):
        second = chat.create(model="scripted/weather", messages=[*ASK, spoken, answered], tools=CHAT_TOOLS)
        assert second.choices[0].message.content == f"It is {RESULT}."


def test_a_refusal_is_a_refusal(deployment: Deployment) -> None:
    """Whole, accumulated, and in Responses as a part of its own."""
    client = deployment.client
    whole = client.chat.completions.create(model="scripted/refuser", messages=ASK)
    with client.chat.completions.stream(model="scripted/refuser", messages=ASK) as stream:
        streamed = stream.get_final_completion()
    assert whole.choices[0].message.refusal == streamed.choices[0].message.refusal == "".join(REFUSAL)
    assert whole.choices[0].message.content is None
    with client.responses.stream(model="scripted/refuser", input="Hi") as events:
        (item,) = events.get_final_response().output
    assert item.model_dump()["content"][0]["refusal"] == "".join(REFUSAL)


def test_a_providers_refusal_keeps_its_class_and_is_not_repeated(deployment: Deployment) -> None:
    """The SDK obeys `x-should-retry: false`: one job, whose worker alone repeats."""
    jobs = len(deployment.up.get("/v1/jobs")["jobs"])
    with pytest.raises(openai.RateLimitError) as refused:
        deployment.client.chat.completions.create(model="scripted/busy", messages=ASK)
    assert refused.value.code == "rate_limited"
    assert len(deployment.up.get("/v1/jobs")["jobs"]) == jobs + 1


@pytest.mark.parametrize("way", ["previous_response_id", "item_reference", "items"])
def test_a_response_calls_a_tool_and_goes_on_with_its_result(deployment: Deployment, way: str) -> None:
    """The second turn may name the response, name its items, or send them; the upstream gets the same messages."""
    responses: Any = deployment.client.responses
    with responses.stream(model="scripted/weather", input=ASK, tools=TOOLS) as stream:
        first = stream.get_final_response()
    thought, call = first.output
    assert thought.summary[0].text == "".join(REASONING)
    assert (call.call_id, call.name, call.arguments) == (TOOL_CALL_ID, "weather", ARGUMENTS)
    assert first.usage.output_tokens_details.reasoning_tokens == 2
    result = {"type": "function_call_output", "call_id": call.call_id, "output": RESULT}
    if way == "previous_response_id":
        more: dict[str, Any] = {"input": [result], "previous_response_id": first.id}
    elif way == "item_reference":
        more = {"input": [*ASK, *({"type": "item_reference", "id": item.id} for item in first.output), result]}
    else:
        more = {"input": [*ASK, *(item.model_dump() for item in first.output), result]}
    second = responses.create(model="scripted/weather", tools=TOOLS, **more)
    assert second.output_text == f"It is {RESULT}."
    asked, spoken, answered = deployment.upstream.requests[-1]["messages"]
    assert asked["content"] == ASK[0]["content"]
    assert [made["function"] for made in spoken["tool_calls"]] == [{"name": "weather", "arguments": ARGUMENTS}]
    assert (answered["tool_call_id"], answered["content"]) == (TOOL_CALL_ID, RESULT)


def test_an_item_that_has_gone_is_not_found(deployment: Deployment) -> None:
    """A reference without its job is never ignored, whether it names an item or a response."""
    create = deployment.client.responses.create
    missing: Any = [{"type": "item_reference", "id": f"msg_{GONE}_0"}, *ASK]
    with pytest.raises(openai.NotFoundError):
        create(model="scripted/weather", input=missing)
    with pytest.raises(openai.NotFoundError):
        create(model="scripted/weather", input="Hi", previous_response_id=f"resp_{GONE}")


def test_a_structured_answer_is_parsed(deployment: Deployment) -> None:
    """`parse` asks for a schema and gets an object of it, in both interfaces."""
    from pydantic import BaseModel

    class Person(BaseModel):
        name: str
        age: int

    ada = Person(name="Ada", age=36)
    client = deployment.client
    parsed = client.chat.completions.parse(model="scripted/json", messages=ASK, response_format=Person)
    assert parsed.choices[0].message.parsed == ada
    assert client.responses.parse(model="scripted/json", input="Hi", text_format=Person).output_parsed == ada
    schema = deployment.upstream.requests[-1]["response_format"]["json_schema"]
    assert json.dumps(schema["schema"]["properties"]).count("type") == 2
