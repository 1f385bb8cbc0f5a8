"""Our web process without its read plane: the same Flask application under gunicorn, as the environment says.

`python -m gunicorn "bench.flask_web:web()"`
"""

import os

from flask import Flask

from app.calls import wire_calls
from app.flask_app import create_app
from tokentail.backend import open_backend
from tokentail.settings import load_settings

_TIMEOUT_S = 5.0


def web() -> Flask:
    """The WSGI application."""
    settings = load_settings(os.environ)
    return create_app(wire_calls(settings, open_backend(settings, _TIMEOUT_S)))
