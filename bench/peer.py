"""The peers: other servers with the same tokens, where they are installed. Nothing of ours needs them.

Durable Streams' Node reference server: `npm install --ignore-scripts --no-package-lock --prefix bench/peers`.
nchan: Debian's `libnginx-mod-nchan`. Both keep everything in memory.
"""

import json
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.http_connection import ask
from bench.stack import started_server
from tests.free_ports import free_ports

_PEERS = Path(__file__).parent / "peers"
_INSTALL = "npm install --ignore-scripts --no-package-lock --prefix bench/peers"
_NCHAN = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")

_NGINX = """
load_module {module};
daemon off; master_process off; worker_processes 1;
pid {folder}/nginx.pid; error_log {folder}/nginx.error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    nchan_channel_id tokens; nchan_subscriber_first_message oldest; nchan_subscriber_last_message_id $arg_cursor;
    nchan_message_buffer_length 10000; nchan_message_timeout 1h;
    location = /publish {{ nchan_publisher; }}
    location = /short {{ nchan_subscriber intervalpoll; }}
    # Only this one answers with all that there is at once; it waits for nothing when there is something.
    location = /long {{ nchan_subscriber longpoll; nchan_longpoll_multipart_response raw; }}
  }}
}}
"""


@dataclass(frozen=True)
class Peer:
    """One that runs."""

    name: str
    port: int
    pid: int
    paths: Mapping[str, str]  # kind of poll → where it is asked for


@contextmanager
def running_durable_streams(folder: Path, old: Sequence[str], new: Sequence[str]) -> Iterator[Peer | None]:
    """With these tokens, of which the `new` ones lie behind the cursor; None where it is not installed."""
    if shutil.which("node") is None or not (_PEERS / "node_modules" / "@durable-streams").exists():
        print(f"no Durable Streams here (node, and {_INSTALL})", file=sys.stderr)
        yield None
        return
    (port,) = free_ports(1)
    argv = ["node", str(_PEERS / "durable_streams.mjs"), str(port)]
    with started_server("durable_streams", argv, port, folder) as child:
        paths = {}
        for name, is_ended in (("live", False), ("ended", True)):
            path = f"/v1/stream/{name}"
            content = {"Content-Type": "application/json"}
            ask(port, "PUT", path, b"", content)
            behind = ask(port, "POST", path, json.dumps([*old]).encode(), content)[0]["stream-next-offset"]
            closing = {"Stream-Closed": "true"} if is_ended else {}
            newest = ask(port, "POST", path, json.dumps([*new]).encode(), content | closing)[0]["stream-next-offset"]
            if is_ended:
                paths["an ended job"] = f"{path}?offset={behind}"
            else:
                paths |= {"10 new tokens": f"{path}?offset={behind}", "nothing new": f"{path}?offset={newest}"}
        yield Peer("Durable Streams, Node", port, child.pid, paths)


@contextmanager
def running_nchan(folder: Path, old: Sequence[str], new: Sequence[str]) -> Iterator[Peer | None]:
    """A running nginx with nchan, one token as JSON in each message; nchan has no end of a log. None: not installed."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None or not _NCHAN.exists():
        print("no nchan here (Debian: libnginx-mod-nchan)", file=sys.stderr)
        yield None
        return
    (port,) = free_ports(1)
    settings = folder / "nginx.conf"
    settings.write_text(_NGINX.format(module=_NCHAN, folder=folder, port=port))
    argv = [nginx, "-c", str(settings), "-p", str(folder)]
    with started_server("nginx", argv, port, folder) as child:
        cursors = [publish(port, token) for token in (*old, *new)]
        paths = (
            {
                "10 new tokens": f"/long?cursor={cursors[len(old) - 1]}",
                "nothing new": f"/short?cursor={cursors[-1]}",
            }
            if new
            else {}
        )
        yield Peer("nchan", port, child.pid, paths)


def publish(port: int, token: str) -> str:
    """Give nchan a token; the cursor behind it."""
    _, said = ask(port, "POST", "/publish", json.dumps(token).encode() + b",", {"Accept": "application/json"})
    cursor: str = json.loads(said)["last_message_id"]
    return cursor
