"""The pass-through: what tutorials build. Flask asks the upstream with `requests` and sends each token on as it comes.

Nothing is kept: a client that is cut off loses the answer.
Start: `python -m gunicorn --threads 200 "bench.pass_through:application()"`
"""

import json
import os
from collections.abc import Iterator

import requests
from flask import Flask, Response, request

_TIMEOUT_S = 60.0


def application() -> Flask:
    """The WSGI application; the upstream is what the environment says."""
    app = Flask("pass_through", static_folder=None)
    url = f"{os.environ['OPENAI_BASE_URL']}/chat/completions"

    @app.get("/stream")
    def stream() -> Response:
        asked = {"model": "bench", "max_tokens": int(request.args["tokens"]), "stream": True, "messages": []}
        return Response(_events(url, asked), mimetype="text/event-stream")

    return app


def _events(url: str, asked: dict[str, object]) -> Iterator[str]:
    with requests.post(url, json=asked, stream=True, timeout=_TIMEOUT_S) as upstream:
        upstream.raise_for_status()
        for line in upstream.iter_lines():
            if not line.startswith(b"data: "):
                continue
            if line == b"data: [DONE]":
                break
            choices = json.loads(line[6:])["choices"]
            if choices and (text := choices[0]["delta"].get("content")):
                yield f"data: {json.dumps(text)}\n\n"
    yield "data: [DONE]\n\n"
