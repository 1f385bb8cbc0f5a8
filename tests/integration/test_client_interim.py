"""The Python client behind a proxy that sends interim responses."""

from tests.integration.raw_server import Connection, raw_server
from tokentail.client import Client

_JOB = b'{"id": "%s", "status": "running", "model": "demo"}'


def test_interim_responses_are_skipped() -> None:
    """Each request of one connection gets its own response, and not the one to the request before it."""

    def script(connection: Connection) -> None:
        while True:
            connection.take_request()
            job = _JOB % connection.requests[-1].split()[1].rpartition(b"/")[2]
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
            connection.send(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(job), job)
            )

    ids = ["j1", "j2", "j3"]
    with raw_server(script) as server, Client(server.url) as client:
        assert [client.job(job_id).id for job_id in ids] == ids
        assert len(server.connections) == 1
