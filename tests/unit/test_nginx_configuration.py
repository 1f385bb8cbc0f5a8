"""deploy/nginx.conf agrees with the settings' defaults; what it does is tested with the real nginx."""

import re
from pathlib import Path

from app.serving.socket_protocol import PING_EVERY_S
from tokentail.config.settings import Settings

TEXT = (Path(__file__).parents[2] / "deploy" / "nginx.conf").read_text()
UNITS = {"s": 1, "m": 1 << 20}


def directive(name: str) -> int:
    """The one value of a directive with a unit: seconds, or bytes."""
    values = re.findall(rf"^ *{name} +([0-9]+)([sm]);", TEXT, re.MULTILINE)
    assert len(values) == 1, name
    return int(values[0][0]) * UNITS[values[0][1]]


def test_nginx_takes_the_bodies_that_the_web_process_takes() -> None:
    """nginx refuses no body that the web process would take, and writes none to a file."""
    assert directive("client_max_body_size") == Settings().max_body_bytes
    assert directive("client_body_buffer_size") == Settings().max_body_bytes


def test_nginx_is_more_patient_than_the_longest_wait() -> None:
    """nginx waits longer than a long poll and the pause between pings; a late answer to a poll is passed on still."""
    assert directive("proxy_read_timeout") > max(Settings().max_wait_s, PING_EVERY_S) + 5
    assert Settings().max_wait_s < directive("proxy_next_upstream_timeout") < directive("proxy_read_timeout")
