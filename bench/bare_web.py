"""The bare web process: Flask under the same server as ours, with nothing of ours in it. `python -m bench.bare_web`.

`/fixed/N` answers N bytes of JSON. `/lrange/KEY` answers the last ten elements of a Redis list, as JSON.
"""

import argparse
import os
import socket
from typing import Any

import redis
import uvicorn
from a2wsgi import WSGIMiddleware
from flask import Flask, Response

from tokentail.settings import load_settings


def bare_app(client: Any) -> Flask:
    """The WSGI application on a redis-py client."""
    app = Flask("bare", static_folder=None)

    @app.get("/fixed/<int:size>")
    def fixed(size: int) -> Response:
        return Response(b'"' + b"x" * (size - 2) + b'"', mimetype="application/json")

    @app.get("/lrange/<path:key>")
    def lrange(key: str) -> Response:
        return Response(b"[" + b",".join(client.lrange(key, -10, -1)) + b"]", mimetype="application/json")

    return app


def _run(port: int) -> None:
    settings = load_settings(os.environ)
    flask_app: Any = bare_app(redis.Redis.from_url(settings.buffer))
    threads: Any = WSGIMiddleware(flask_app, workers=settings.web_threads)
    # As in app/server.py.
    config = uvicorn.Config(
        threads,
        http="httptools",
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )
    uvicorn.Server(config).run([socket.create_server(("127.0.0.1", port), backlog=2048)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    _run(parser.parse_args().port)
