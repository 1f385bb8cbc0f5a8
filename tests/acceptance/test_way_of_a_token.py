"""A token passes the files that docs/architecture.md names, from the provider's bytes to the body of a long poll."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.acceptance.running import Up, running_up, wait_for_end
from tests.integration.raw_server import CHUNKED, Connection, chunk, raw_server
from tests.scrape import scrape
from tests.unit.test_architecture_docs import ROOT, files_of_the_way
from tests.waiting import eventually

TRACE = Path(__file__).parent / "token_trace"
MARK = "Quagga"
MOST_FILES = 25
END = chunk(b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}\n\ndata: [DONE]\n\n') + chunk(b"")


def test_a_token_passes_the_files_that_the_documents_name(tmp_path: Path) -> None:
    """Each file counts of which a function had the token in hand until the response of a waiting poll was sent.

    Lua runs in the store and cannot be watched, so the scripts are those that the documents name.
    """
    with (
        raw_server(_answer) as server,
        running_up(
            tmp_path,
            OPENAI_BASE_URL=server.url.removesuffix("/chat/completions"),
            OPENAI_API_KEY="key",
            TOKENTAIL_WEB_METRICS="127.0.0.1:0",
            PYTHONPATH=str(TRACE),
            TOKEN_TRACE_MARK=MARK,
            TOKEN_TRACE_FOLDER=str(tmp_path),
        ) as up,
        ThreadPoolExecutor() as pool,
    ):
        job_id = up.submit(prompt="hello", model="openai/m")
        eventually(lambda: len(server.requests) == 1, within_s=10, what="the provider is asked")
        cursor = "0"
        for token in ("first", "second", MARK):  # with the second, the job's tail in the web process is live
            poll = pool.submit(_awaited, up, job_id, cursor)
            eventually(lambda: scrape(up.log).value("tokentail_http_waits") == 1, within_s=10, what="the poll waits")
            server.connections[0].send(_event(token))
            tokens, cursor = poll.result()
            assert tokens == [token]
        server.connections[0].send(END)
        assert wait_for_end(up, job_id) == "completed"
    passed = {line.split()[0] for note in tmp_path.glob("*.trace") for line in note.read_text().splitlines()}
    named = {str(path.relative_to(ROOT)) for path in files_of_the_way()}
    assert passed == {name for name in named if not name.endswith(".lua")}
    assert len(named) <= MOST_FILES


def _answer(connection: Connection) -> None:
    connection.take_request()
    connection.send(CHUNKED)
    connection.go_on.wait(60)


def _event(token: str) -> bytes:
    event = {"choices": [{"index": 0, "delta": {"content": token}}]}
    return chunk(f"data: {json.dumps(event, separators=(',', ':'))}\n\n".encode())


def _awaited(up: Up, job_id: str, cursor: str) -> tuple[list[str], str]:
    """The tokens and the cursor of a poll that waits."""
    body = up.get(f"/v1/jobs/{job_id}/tokens", cursor=cursor, wait=20)
    return body["tokens"], body["cursor"]
