"""Durable Streams under other servers than ours: a reader whose answer was lost is cut off there, too."""

from http.client import HTTPConnection, IncompleteRead
from pathlib import Path

import pytest

from tests.acceptance.test_wsgi import SERVERS, running_server
from tests.scripted_worker import ScriptedWorker


@pytest.mark.parametrize("name", ["gthread", "gevent.pywsgi"])
def test_a_stream_of_a_lost_answer_is_cut_off(
    worker: ScriptedWorker, valkey_url: str, tmp_path: Path, name: str
) -> None:
    """The client notices that something is missing. It is no fault of the server, whose log has no line of it."""
    with running_server(valkey_url, tmp_path, SERVERS[name], TOKENTAIL_LEASE_S="600") as web:
        job_id = str(web.submit().json["id"])
        writer = worker.take(job_id)
        worker.say(writer, "old")
        logged = web.log
        connection = HTTPConnection("127.0.0.1", web.port, timeout=20)
        connection.request("GET", f"/v1/jobs/{job_id}/durable/text?offset=-1&live=sse")
        response = connection.getresponse()
        seen = b""
        while b"\n\n" not in seen.partition(b"event: control")[2]:
            seen += response.read1(65536)
        assert seen.startswith(b"event: data\ndata:old\n\nevent: control\ndata:{")
        writer.start("second", "demo", "demo")
        worker.say(writer, "new")
        with pytest.raises(IncompleteRead):
            response.read()
        connection.close()
        assert web.ask("GET", f"/v1/jobs/{job_id}/durable/text").body == b"new"
        assert web.log == logged
