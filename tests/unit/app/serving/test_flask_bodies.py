"""The bodies of requests under WSGI servers that do not pass chunked ones on."""

import fakeredis
from werkzeug.test import Client

from app.serving.flask_app import create_app
from app.wiring import wire_calls
from tokentail.config.settings import load_settings
from tokentail.redis.backend import wire


def test_a_chunked_body_that_the_server_does_not_pass_on_is_refused_in_a_sentence() -> None:
    """uWSGI gives the application an empty body; 'not JSON' would send the client looking for a fault of its own."""
    settings = load_settings({"REDIS_URL": "redis://127.0.0.1:1"})
    redis = fakeredis.FakeRedis()
    client = Client(create_app(wire_calls(settings, wire(redis, redis, settings))))
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    answer = client.post("/v1/jobs", headers=headers)
    assert answer.status_code == 411
    assert "Send the body with a Content-Length." in answer.text
