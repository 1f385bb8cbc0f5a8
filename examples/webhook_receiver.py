"""A receiver of webhooks: it verifies each, and stores the text of every finished answer in SQLite.

    WEBHOOK_SECRET=whsec_… python examples/webhook_receiver.py answers.db 5005

Each message may arrive more than once. The database has one row for a job, so a repeat changes nothing. An answer that
cannot be fetched now is answered with 503, and Tokentail sends the message again later.

Webhooks tell of the jobs of all owners, and a key reads the jobs of its own alone. With one key set TOKENTAIL_API_KEY;
with several, OWNER_KEYS="web=tt-… crm=tt-…" has each owner's key, and other owners' messages are ignored by name.
"""

import os
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from standardwebhooks import Webhook, WebhookVerificationError

from tokentail.client import ApiError, Client, ServerUnreachable

SERVER = os.environ.get("TOKENTAIL_URL", "http://127.0.0.1:8000")
KEY = os.environ.get("TOKENTAIL_API_KEY")
KEY_OF = dict(pair.split("=", 1) for pair in os.environ.get("OWNER_KEYS", "").split())
SECRET = os.environ.get("WEBHOOK_SECRET", "")
MOST_BYTES = 64 << 10  # a webhook has about 200
TABLE = "CREATE TABLE IF NOT EXISTS answers (job TEXT PRIMARY KEY, type TEXT, ended_at INTEGER, text TEXT)"
ROW = "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)"


class Receiver(BaseHTTPRequestHandler):
    """One webhook."""

    timeout = 10

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", "0"))
        if size > MOST_BYTES:
            self.answer(413)
            return
        body = self.rfile.read(size)
        try:
            event = Webhook(SECRET).verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.answer(401)
            return
        self.answer(204 if store(event) else 503)

    def answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()


def store(event: dict[str, object]) -> bool:
    """Fetch the answer and store it; False if that should be tried again."""
    data = event["data"] if isinstance(event["data"], dict) else {}
    job, owner = str(data.get("id", "")).removeprefix("resp_"), str(data.get("owner", ""))
    if KEY_OF and owner not in KEY_OF:
        print(f"Ignored: {job} is a job of {owner or 'no owner'}, of which OWNER_KEYS has no key.", flush=True)
        return True
    text: str | None = None
    try:
        with Client(SERVER, KEY_OF.get(owner, KEY)) as client:
            text = client.text(job)
    except ServerUnreachable:
        return False
    except ApiError as error:
        if error.status != 410:  # which says that it was deleted: there is a type, and no text
            print(f"{job} of {owner or 'no owner'} cannot be read: {error}", flush=True)
            return False  # 404 is also another owner's job, so it says nothing of the answer
    with sqlite3.connect(database, timeout=10) as connection:
        connection.execute(ROW, (job, event["type"], event["created_at"], text))
    connection.close()
    return True


if __name__ == "__main__":
    if not SECRET:
        sys.exit("Set WEBHOOK_SECRET to the secret in TOKENTAIL_WEBHOOK_SECRETS.")
    database, port = sys.argv[1], int(sys.argv[2])
    with sqlite3.connect(database) as first:
        first.execute(TABLE)
    first.close()
    server = ThreadingHTTPServer(("127.0.0.1", port), Receiver)
    print(f"Webhooks are stored in {database}. Address: http://127.0.0.1:{server.server_address[1]}/", flush=True)
    server.serve_forever()
