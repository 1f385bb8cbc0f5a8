"""The table of routes: every call over HTTP, one row each. Flask, the event loop, access, metrics and OpenAPI read it.

The rows are in the file of their task, with their paths and the schemas of their bodies. No other file of the app
contains a path; a test holds it. (The static files have a table of their own, in `app/serving/static_files.py`.)
"""

from app.http.ai_sdk_routes import AI_SDK, SERVE_USE_CHAT
from app.http.job_routes import ASK, LOOK_AFTER, OWN
from app.http.key_routes import SIGN_IN
from app.http.openai_errors import in_openai_form
from app.http.openai_routes import OPENAI, SPEAK_OPENAI
from app.http.operating_routes import OPERATE
from app.http.reading_routes import READ
from app.http.router import Router

CALLS = (OWN, OPENAI, AI_SDK)  # the beginnings of the paths of programs

TASKS = (ASK, READ, LOOK_AFTER, SPEAK_OPENAI, SERVE_USE_CHAT, SIGN_IN, OPERATE)  # in the order of the API page
ROUTES = tuple(route for task in TASKS for route in task.routes)
ROUTER = Router(ROUTES, {OPENAI: in_openai_form})
