"""A site with a chat that has a history. The site keeps the conversation; each turn is one job of Tokentail.

    TOKENTAIL_CORS_ORIGINS=http://127.0.0.1:5000 tokentail up
    flask --app examples/chat/chat_site.py run --port 5000       # in another shell; open http://127.0.0.1:5000

docs/tutorial_chat.md explains it step by step. The browser reads the answers from Tokentail itself, with a token that
can read this one job; the API key, where there is one, stays here. A chat belongs to everybody who has its address.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, request, send_from_directory

from tokentail.client import ApiError, Client

TOKENTAIL = os.environ.get("TOKENTAIL_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("TOKENTAIL_API_KEY")
CHATS = os.environ.get("CHATS_FILE", "chats.sqlite3")
HERE = Path(__file__).parent
TURNS = """CREATE TABLE IF NOT EXISTS turns (
    id INTEGER PRIMARY KEY, chat TEXT, asked TEXT, question TEXT, job TEXT, token TEXT, status TEXT, answer TEXT,
    UNIQUE (chat, asked))"""

app = Flask(__name__)


@app.get("/")
def page() -> Response:
    return send_from_directory(HERE, "page.html")


@app.get("/page.js")
def script() -> Response:
    return send_from_directory(HERE, "page.js")


@app.get("/chats/<chat>")
def history(chat: str) -> dict[str, Any]:
    """The conversation. A turn without an answer is being answered: the page follows its job."""
    with turns() as db:
        return {"server": TOKENTAIL, "turns": [shown(turn) for turn in settled(db, chat)]}


@app.post("/chats/<chat>/turns")
def ask(chat: str) -> dict[str, Any]:
    """Submit the conversation and the question as one job. A repeat with the same Idempotency-Key is the same turn."""
    body = request.get_json()
    question = body.get("question") if isinstance(body, dict) else None
    asked = request.headers.get("Idempotency-Key", "")
    if not isinstance(question, str) or not question.strip() or not asked:
        abort(422, "Send a question, and an Idempotency-Key.")
    with turns() as db:
        db.execute("BEGIN IMMEDIATE")  # of two questions at the same moment, one is first
        before = settled(db, chat)
        if known := [turn for turn in before if turn["asked"] == asked]:
            return shown(known[0])
        if any(turn["status"] is None for turn in before):
            abort(409, "The last question is being answered.")
        messages = [*conversation(before), {"role": "user", "content": question}]
        with Client(TOKENTAIL, KEY) as client:
            job = client.submit(messages=messages, max_tokens=500, idempotency_key=f"{chat}:{asked}")
            token = client.share(job.id).token  # None where Tokentail has no keys: then everybody may read
        new = (chat, asked, question, job.id, token)
        db.execute("INSERT INTO turns (chat, asked, question, job, token) VALUES (?, ?, ?, ?, ?)", new)
        return shown(settled(db, chat)[-1])


def settled(db: sqlite3.Connection, chat: str) -> list[sqlite3.Row]:
    """The turns of a chat. Answers that have ended since are stored first: Tokentail keeps them for a day only."""
    query = "SELECT * FROM turns WHERE chat = ? ORDER BY id"
    for turn in db.execute(query, (chat,)).fetchall():
        if turn["status"] is None and (ended := ending(turn["job"])):
            db.execute("UPDATE turns SET status = ?, answer = ? WHERE id = ?", (*ended, turn["id"]))
    return db.execute(query, (chat,)).fetchall()


def ending(job_id: str) -> tuple[str, str] | None:
    """The status and the text of a job that has ended; None while it has not."""
    with Client(TOKENTAIL, KEY) as client:
        try:
            job = client.job(job_id)
            return (str(job.status), client.text(job_id)) if job.is_closed else None
        except ApiError as error:
            if error.status in {404, 410}:
                return "lost", ""  # nobody looked for so long that the answer has expired
            raise


def conversation(before: list[sqlite3.Row]) -> Iterator[dict[str, str]]:
    """The messages of the turns so far. A turn that failed without a word is left out: models want turns in pairs."""
    for turn in before:
        if turn["answer"]:
            yield {"role": "user", "content": turn["question"]}
            yield {"role": "assistant", "content": turn["answer"]}


def shown(turn: sqlite3.Row) -> dict[str, Any]:
    """What the page gets of a turn."""
    return {name: turn[name] for name in ("question", "answer", "status", "job", "token")}


@contextmanager
def turns() -> Iterator[sqlite3.Connection]:
    """The database, in one transaction."""
    with closing(sqlite3.connect(CHATS)) as db, db:
        db.row_factory = sqlite3.Row
        db.execute(TURNS)
        yield db
