"""instructor on OpenAI's SDK, in its modes of both interfaces: `python instructor_models.py URL chat|responses`."""

import json
import sys
from typing import Any

import instructor
from openai import OpenAI
from pydantic import BaseModel

URL, WAY = sys.argv[1:]
CLIENT = OpenAI(base_url=f"{URL}/openai/v1", api_key="any")
HI: Any = [{"role": "user", "content": "Hi"}]
MODES = {
    "chat": [instructor.Mode.TOOLS, instructor.Mode.JSON, instructor.Mode.JSON_SCHEMA],
    "responses": [instructor.Mode.RESPONSES_TOOLS],
}[WAY]


class Person(BaseModel):
    """A structured answer."""

    name: str
    age: int


def error() -> Any:
    try:
        instructor.from_openai(CLIENT).create(model="scripted/busy", response_model=Person, messages=HI, max_retries=0)
    except Exception as refused:
        return 429 if "429" in str(refused) else str(refused)
    return None


people, job = [], None
for mode in MODES:
    client: Any = instructor.from_openai(CLIENT, mode=mode)
    person = client.create(model="scripted/json", response_model=Person, messages=HI)
    *_, streamed = client.create_partial(model="scripted/json", response_model=Person, messages=HI)
    people += [person.model_dump(), streamed.model_dump()]
    job = person._raw_response.id
print(
    json.dumps({"object": people[0] if people == [people[0]] * len(people) else people, "error": error(), "job": job})
)
