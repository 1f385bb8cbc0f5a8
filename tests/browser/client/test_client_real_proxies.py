"""tokentail.js in Chromium through real proxies, each in its smallest configuration, not prepared for streams."""

from collections.abc import Callable, Iterator

import pytest

from bench.networks.running import running
from bench.networks.setups import debian_setups
from tests.browser.client.conftest import Reader, Speech
from tests.browser.client.test_client_proxies import finish
from tests.browser.harness import BrowserHarness
from tests.free_ports import free_ports
from tests.programs import CADDY, HAPROXY, LIGHTTPD, NGINX, VARNISH, Program
from tests.scripted_worker import ScriptedWorker


@pytest.fixture(params=(NGINX, HAPROXY, CADDY, LIGHTTPD, VARNISH), ids=lambda program: program.title)
def real_proxy(request: pytest.FixtureRequest, straight_harness: BrowserHarness) -> Iterator[str]:
    """The address of a real proxy in front of the web process."""
    program: Program = request.param
    program.require()
    (smallest,) = (each for each in debian_setups() if each.program.title == program.title and not each.line)
    (port,) = free_ports(1)
    with running(smallest, straight_harness.web.port, port):
        yield f"http://127.0.0.1:{port}"


def test_the_answer_is_whole_and_its_first_token_waits_for_no_stream(
    real_proxy: str,
    open_reader: Callable[[str], Reader],
    straight_harness: BrowserHarness,
    worker: ScriptedWorker,
) -> None:
    """A proxy that holds a stream to its end delays no token: a stream would be given up only after a minute here."""
    reader = open_reader(real_proxy)
    speech = Speech(worker, reader)
    speech.say("first")
    reader.connect(timing={"muteMs": 60000})
    reader.read(speech.job_id)
    speech.heard(within_s=20)
    speech.until(lambda: True, least=5)
    finish(speech, worker, reader, straight_harness)
