"""The command `llm` with a model of its own file: `python llm_command.py URL chat`."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

URL = sys.argv[1]
LLM = str(Path(sys.executable).parent / "llm")
WEATHER = 'def weather(city: str) -> str:\n    "The weather of a city."\n    return f"18 degrees in {city}"'
MODEL = '- model_id: {0}\n  model_name: scripted/{0}\n  api_base: "{1}/openai/v1"\n  supports_tools: true\n'

with tempfile.TemporaryDirectory() as home:
    models = "".join(MODEL.format(name, URL) for name in ("weather", "busy"))
    Path(home, "extra-openai-models.yaml").write_text(models)

    def llm(*arguments: str) -> str:
        environment = {**os.environ, "LLM_USER_PATH": home, "OPENAI_API_KEY": "any"}
        ran = subprocess.run([LLM, *arguments], env=environment, capture_output=True, text=True, check=False)
        return (ran.stdout if ran.returncode == 0 else ran.stderr).strip()

    whole = llm("-m", "weather", "Hi", "--no-stream")
    (logged,) = json.loads(llm("logs", "--json", "-n", "1"))
    told = {
        "whole": whole,
        "stream": llm("-m", "weather", "Hi"),
        "tools": llm("-m", "weather", "Hi", "--functions", WEATHER),
        "error": 429 if "429" in llm("-m", "busy", "Hi") else None,
        "job": logged["response_json"]["id"],
    }
    print(json.dumps(told))
