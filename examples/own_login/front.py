"""An app of your own in front of Tokentail: its users, its log-in, its rules. Tokentail sees one API key.

    TOKENTAIL_API_KEYS=my-key tokentail up
    TOKENTAIL_API_KEY=my-key flask --app examples/own_login/front.py run --port 5000

Then open http://127.0.0.1:5000 and log in as ada, password lovelace, or alan, password turing.

The app serves the paths of Tokentail that its page needs. For each request it checks the user and that
the job is theirs. So tokentail.js works unchanged, and only this app needs to reach Tokentail.

In production: real users, SECRET_KEY in the environment, HTTPS with SESSION_COOKIE_SECURE, and a server with a thread
for each reader, such as `gunicorn --threads 100 --chdir examples/own_login front:app`.
"""

import hashlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import requests
from flask import Flask, Response, abort, redirect, request, send_from_directory, session
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response as AnyResponse

TOKENTAIL = os.environ.get("TOKENTAIL_URL", "http://127.0.0.1:8000")
KEY = os.environ["TOKENTAIL_API_KEY"]
JOBS = os.environ.get("JOBS_FILE", "jobs.sqlite3")
HERE = Path(__file__).parent
USERS = {"ada": generate_password_hash("lovelace"), "alan": generate_password_hash("turing")}

app = Flask(__name__)
app.secret_key = os.environ.get("SECRET_KEY") or secrets.token_bytes(32)
app.config["SESSION_COOKIE_SAMESITE"] = "Strict"  # pages of other sites cannot act for our users
app.config["MAX_CONTENT_LENGTH"] = 100_000


# -- the login, which is the app's alone ------------------------------------------------------------------------------


@app.get("/")
def page() -> Response:
    return send_from_directory(HERE, "page.html" if "user" in session else "login.html")


@app.get("/page.js")
def script() -> Response:
    return send_from_directory(HERE, "page.js")


@app.post("/login")
def login() -> AnyResponse:
    name = request.form.get("name", "")
    if name not in USERS or not check_password_hash(USERS[name], request.form.get("password", "")):
        abort(401, "Nobody of that name has that password.")
    session["user"] = name
    return redirect("/")


@app.post("/logout")
def logout() -> AnyResponse:
    session.clear()
    return redirect("/")


# -- Tokentail, for logged-in users -----------------------------------------------------------------------------------


@app.get("/tokentail.js")
def client() -> Response:
    return forward("GET", "/tokentail.js")


@app.post("/v1/jobs")
def submit() -> Response:
    user = logged_in()
    asked = request.get_json()  # 415 for a form of another site
    if not isinstance(asked, dict) or not isinstance(asked.get("prompt"), str):
        abort(422, "Send a prompt.")
    body = {"prompt": asked["prompt"], "max_tokens": 500}  # your rules: what your users may ask for, and how much of it
    # The key is one for all users, so that a user's Idempotency-Key must not find another one's job.
    sent = request.headers.get("Idempotency-Key") or secrets.token_hex()
    own = hashlib.sha256(f"{user}\n{sent}".encode()).hexdigest()
    response = forward("POST", "/v1/jobs", json=body, headers={"Idempotency-Key": own})
    if response.status_code == 202:
        remember(response.get_json()["id"], user)
    return response


@app.get("/v1/jobs/<job_id>")
@app.get("/v1/jobs/<job_id>/<any(tokens, events, text, stream):part>")
def read(job_id: str, part: str = "") -> Response:
    own(job_id)
    return forward("GET", f"/v1/jobs/{job_id}/{part}".rstrip("/"), params=request.args.to_dict(), stream=True)


@app.post("/v1/jobs/<job_id>/cancel")
def cancel(job_id: str) -> Response:
    own(job_id)
    return forward("POST", f"/v1/jobs/{job_id}/cancel")


def logged_in() -> str:
    """The logged-in user's name. Aborts with 401 if nobody is logged in."""
    user = session.get("user")
    if user is None:
        abort(401, "Log in.")
    return str(user)


def own(job_id: str) -> None:
    """Abort with 404 unless the job exists and is the user's own."""
    user = logged_in()
    with closing(jobs()) as db:
        if db.execute("SELECT 1 FROM jobs WHERE id = ? AND user = ?", (job_id, user)).fetchone() is None:
            abort(404, "There is no such job.")


def remember(job_id: str, user: str) -> None:
    with closing(jobs()) as db, db:
        db.execute("INSERT OR IGNORE INTO jobs VALUES (?, ?)", (job_id, user))


def jobs() -> sqlite3.Connection:
    db = sqlite3.connect(JOBS)
    db.execute("CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, user TEXT NOT NULL)")
    return db


_ASKED = ("Last-Event-ID", "If-None-Match", "Accept")
_TOLD = ("Content-Type", "Cache-Control", "ETag", "Retry-After", "X-Accel-Buffering", "Tokentail-Status")


def forward(method: str, path: str, headers: dict[str, str] | None = None, **options: Any) -> Response:
    """Tokentail's response, passed on piece by piece as it arrives."""
    sent = {name: request.headers[name] for name in _ASKED if name in request.headers}
    sent |= {"Authorization": f"Bearer {KEY}", "Accept-Encoding": "identity", **(headers or {})}
    try:
        # Longer than a long poll waits, and than streams are silent.
        upstream = requests.request(method, TOKENTAIL + path, headers=sent, timeout=(5, 45), **options)
    except requests.RequestException:
        return Response("Tokentail cannot be reached.", 503, {"Retry-After": "1"})
    told = {name: upstream.headers[name] for name in _TOLD if name in upstream.headers}
    response = Response(pieces(upstream) if options.get("stream") else upstream.content, upstream.status_code, told)
    response.call_on_close(upstream.close)
    return response


def pieces(upstream: requests.Response) -> Iterator[bytes]:
    """The body's bytes as soon as they arrive; `iter_content` would wait for more unless the body is chunked."""
    try:
        while piece := upstream.raw.read1(65536, decode_content=True):
            yield piece
    except Exception as error:  # of urllib3: the client resumes at its cursor
        app.logger.warning("Tokentail broke off: %s", type(error).__name__)
