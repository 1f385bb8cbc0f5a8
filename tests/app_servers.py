"""App servers of others with `app.wsgi:application()`: `make servers` prints what works under each.

Each starts on a free port beside a running `tokentail up`, whose Redis and workers it uses. It needs the registry of
PyPI. Exits with 1 if a server loses or delays an answer, or cannot be tried.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import Thread

import requests

from tests.acceptance.running import Up, environment, running_up
from tests.free_ports import free_ports
from tests.others import with_python_packages
from tests.waiting import eventually

_ANSWER = {"model": "demo?tokens=40&tps=20", "prompt": "Why?"}
_SILENT = {"model": "demo?reasoning=4000&tps=10&tokens=1", "prompt": "Why?"}  # nothing to show for minutes
_MOST_BODY = 100_000
_STOP_WITHIN_S = 45
_COLUMNS = (
    "server",
    "polls",
    "204",
    "SSE",
    "chunked body",
    "too large: length, chunked",
    "HEAD",
    "SIGTERM, with who waits",
)


@dataclass(frozen=True)
class AppServer:
    """A server: its packages, and its command, in which `PORT` stands for the port."""

    title: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    is_one_at_a_time: bool = False


def _gunicorn(title: str, *options: str, is_one_at_a_time: bool = False) -> AppServer:
    command = ("-m", "gunicorn", "--bind", "127.0.0.1:PORT", "app.wsgi:application()", *options)
    return AppServer(f"gunicorn {title}", (), command, is_one_at_a_time)


_THREADS = ("--worker-class", "gthread", "--threads", "16")
_CHEROOT = """
from cheroot.wsgi import Server
from app.wsgi import application
Server(("127.0.0.1", PORT), application(), numthreads=16).start()
"""
_WERKZEUG = """
from werkzeug.serving import run_simple
from app.wsgi import application
run_simple("127.0.0.1", PORT, application(), threaded=True)
"""
_PYWSGI = """
from gevent import monkey; monkey.patch_all()
from gevent.pywsgi import WSGIServer
from app.wsgi import application
WSGIServer(("127.0.0.1", PORT), application(), log=None).serve_forever()
"""
_GRANIAN = "-m granian --interface wsgi --factory --port PORT --blocking-threads 16 app.wsgi:application"
_UWSGI = "import sys, pyuwsgi; pyuwsgi.run(sys.argv[1:])"
_UWSGI_OPTIONS = "--http-socket 127.0.0.1:PORT --enable-threads --threads 16 --master --die-on-term --disable-logging"
_UWSGI_APP = ("--module", "app.wsgi:application()")
SERVERS = (
    AppServer("tokentail web", (), ("-m", "app")),
    _gunicorn("gthread", *_THREADS),
    _gunicorn("gthread --preload", *_THREADS, "--preload"),
    _gunicorn("gevent", "--worker-class", "gevent"),
    _gunicorn("sync", is_one_at_a_time=True),
    AppServer(
        "waitress",
        ("waitress==3.0.2",),
        ("-m", "waitress", "--listen=127.0.0.1:PORT", "--threads=16", "--call", "app.wsgi:application"),
    ),
    AppServer("cheroot", ("cheroot==11.1.2",), ("-c", _CHEROOT)),
    AppServer(
        "granian",
        ("granian==2.8.9",),
        (*_GRANIAN.split(),),
    ),
    AppServer(
        "granian --workers-kill-timeout 5", ("granian==2.8.9",), (*_GRANIAN.split(), "--workers-kill-timeout", "5")
    ),
    AppServer("uWSGI", ("pyuwsgi==2.0.30.post1",), ("-c", _UWSGI, *_UWSGI_OPTIONS.split(), *_UWSGI_APP)),
    AppServer(
        "uWSGI --lazy-apps",
        ("pyuwsgi==2.0.30.post1",),
        ("-c", _UWSGI, *_UWSGI_OPTIONS.split(), *_UWSGI_APP, "--lazy-apps"),
    ),
    AppServer("Werkzeug's own", (), ("-c", _WERKZEUG)),
    AppServer("gevent.pywsgi", (), ("-c", _PYWSGI)),
    AppServer(
        "hypercorn",
        ("hypercorn==0.18.0",),
        ("-m", "hypercorn", "--bind", "127.0.0.1:PORT", "wsgi:app.wsgi:application()"),
    ),
)


class Site:
    """A server that runs, and how it is asked."""

    def __init__(self, port: int, process: subprocess.Popen[bytes]) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process = process

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=40)

    def is_up(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False

    def submit(self, body: dict[str, str]) -> str:
        return str(requests.post(f"{self.url}/v1/jobs", json=body, timeout=10).json()["id"])


def main() -> int:
    """Try each server, or those whose titles are given."""
    chosen = [server for server in SERVERS if not sys.argv[1:] or server.title in sys.argv[1:]]
    print(f"| {' | '.join(_COLUMNS)} |\n|{' --- |' * len(_COLUMNS)}", flush=True)
    faults = 0
    with tempfile.TemporaryDirectory() as folder, running_up(Path(folder)) as up:
        for server in chosen:
            with running(server, up, Path(folder, "server.log")) as site:
                checks = (polls, stop_after_end, stream, chunked, too_large, head, stopping)
                cells = [_told(check, site) for check in checks]
                print(f"| {server.title} | {' | '.join(cells)} |", flush=True)
                faults += any(cell.startswith("no") for cell in cells)
    return 1 if faults else 0


def _told(check: Callable[[Site], str], site: Site) -> str:
    try:
        return check(site)
    except Exception as error:  # whatever a server does is what this program is to tell
        return f"{type(error).__name__}: {str(error)[:60]}".replace("|", "/")


@contextmanager
def running(server: AppServer, up: Up, log: Path) -> Iterator[Site]:
    """The server, ready, with the Redis of `up`; killed at the end."""
    (port,) = free_ports(1)
    told = environment(
        REDIS_URL=f"unix://{up.data_dir}/valkey/valkey.sock",
        TOKENTAIL_WEB_THREADS="16",
        TOKENTAIL_MAX_BODY_BYTES=str(_MOST_BODY),
        TOKENTAIL_PORT=str(port),
    )
    if server.packages:
        told["PYTHONPATH"] = str(with_python_packages(server.packages[0].partition("=")[0], *server.packages))
    argv = [sys.executable, *(part.replace("PORT", str(port)) for part in server.command)]
    with log.open("wb") as output:
        process = subprocess.Popen(argv, env=told, stdout=output, stderr=output, start_new_session=True)
    try:
        site = Site(port, process)
        try:
            eventually(site.is_up, within_s=30, what=f"{server.title} answers")
        except AssertionError:
            print(log.read_text()[-3000:], file=sys.stderr)
            raise
        yield site
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def polls(site: Site) -> str:
    """A job that is followed by long polls: whether each word came once, and how many polls it took."""
    job_id, cursor, text, count = site.submit(_ANSWER), "0", "", 0
    while True:
        body = requests.get(f"{site.url}/v1/jobs/{job_id}/tokens?cursor={cursor}&wait=20", timeout=30).json()
        text, cursor, count = text + "".join(body["tokens"]), body["cursor"], count + 1
        if body["done"]:
            break
    whole = requests.get(f"{site.url}/v1/jobs/{job_id}/text", timeout=10).content.decode()
    return f"yes ({count})" if text == whole and count > 20 else f"no: {count} polls, {len(text)} characters"


def stop_after_end(site: Site) -> str:
    """A reader who has everything and asks again."""
    job_id = site.submit({**_ANSWER, "model": "demo?tokens=2&tps=0"})
    cursor = requests.get(f"{site.url}/v1/jobs/{job_id}/tokens?wait=20", timeout=30).json()["cursor"]
    cursor = requests.get(f"{site.url}/v1/jobs/{job_id}/tokens?wait=20&cursor={cursor}", timeout=30).json()["cursor"]
    url = f"{site.url}/v1/jobs/{job_id}/stream"
    with requests.get(url, headers={"Last-Event-ID": cursor}, timeout=10, stream=True) as found:
        return "yes" if found.status_code == 204 else f"no: {found.status_code}"


def stream(site: Site) -> str:
    """In how many reads a stream of forty tokens came."""
    connection, job_id, reads = site.connect(), site.submit(_ANSWER), 0
    connection.request("GET", f"/v1/jobs/{job_id}/stream")
    found = connection.getresponse()
    while part := found.read1(65536):
        reads += b"tokens" in part
    return f"yes ({reads} reads)" if reads > 20 else f"no: {reads} reads"


def chunked(site: Site) -> str:
    """The status of a submission whose length is not said."""
    return _post_chunked(site, [json.dumps(_ANSWER).encode()])


def too_large(site: Site) -> str:
    """The statuses of bodies over the limit."""
    body = json.dumps({"prompt": "x" * (_MOST_BODY + 10_000)}).encode()
    said = requests.post(f"{site.url}/v1/jobs", data=body, headers={"Content-Type": "application/json"}, timeout=10)
    return f"{said.status_code}, {_post_chunked(site, [body[:60_000], body[60_000:]])}"


def _post_chunked(site: Site, parts: list[bytes]) -> str:
    connection = site.connect()
    connection.putrequest("POST", "/v1/jobs")
    connection.putheader("Content-Type", "application/json")
    connection.putheader("Transfer-Encoding", "chunked")
    with suppress(BrokenPipeError):  # where the server has answered before the end of the body
        connection.endheaders(parts, encode_chunked=True)
    return str(connection.getresponse().status)


def head(site: Site) -> str:
    """A HEAD of a stream, and on the same connection another request."""
    job_id = site.submit(_ANSWER)
    connection = site.connect()
    connection.request("HEAD", f"/v1/jobs/{job_id}/stream")
    found = connection.getresponse()
    found.read()
    if found.status != 200:
        return f"no: {found.status}"
    time.sleep(0.3)
    if connection.sock is None:
        return "yes, closes"
    connection.sock.setblocking(False)
    try:
        stray = connection.sock.recv(100)
    except BlockingIOError:
        return "yes"
    return f"{len(stray)} stray bytes" if stray else "yes, closes"


def stopping(site: Site) -> str:
    """What two polls and a stream that wait get at a SIGTERM, and when the server is gone."""
    job_id = site.submit(_SILENT)
    seen: dict[str, str] = {}
    began = 0.0

    def wait(name: str, path: str) -> None:
        connection = site.connect()
        try:
            connection.request("GET", path)
            found = connection.getresponse()
            body = found.read()
            is_whole = found.status == 200 and (name == "stream" or b'"done":false' in body)
            told = "" if is_whole else f"{found.status} "
        except (OSError, HTTPException):
            told = "cut "
        seen[name] = f"{told}{time.monotonic() - began:.1f} s"

    poll = f"/v1/jobs/{job_id}/tokens?wait=20"
    waiters = {"poll": poll, "another": poll, "stream": f"/v1/jobs/{job_id}/stream"}
    threads = [Thread(target=wait, args=each, daemon=True) for each in waiters.items()]
    for thread in threads:
        thread.start()
    time.sleep(1.5)
    began = time.monotonic()
    site.process.send_signal(signal.SIGTERM)
    try:
        site.process.wait(_STOP_WITHIN_S)
        gone = f"gone after {time.monotonic() - began:.1f} s"
    except subprocess.TimeoutExpired:
        gone = f"not gone in {_STOP_WITHIN_S} s"
    for thread in threads:
        thread.join(1)
    told = ", ".join(f"{name} {seen.get(name, 'nothing')}" for name in waiters)
    return f"{told}; {gone}"


if __name__ == "__main__":
    sys.exit(main())
