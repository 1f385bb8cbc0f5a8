"""The first values of a class, made by many threads at once: msgspec 0.22 crashes there, unless it knows the class."""

import subprocess
import sys

FIRST_VALUES = """
import os, sys, threading
from app.http.session_request import parse_session
from app.http.share_request import parse_share
from tokentail.jobs.request import decode_request, parse_request

def prompt(): parse_request(b'{"prompt": "x", "model": "demo"}')
def stored(): decode_request(b'{"prompt": "x"}')
def tools(): parse_request(b'{"prompt": "x", "tools": [{"type": "function", "function": {"name": "a"}}]}')
def session(): parse_session(b'{}')
def share(): parse_share(b'{}')

def at_once(parse):
    sys.setswitchinterval(1e-5)
    ready = threading.Barrier(16)
    threads = [threading.Thread(target=lambda: (ready.wait(), parse())) for _ in range(16)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()

crashes = 0
for parse in (prompt, stored, tools, session, share):
    for _ in range(20):
        child = os.fork()
        if child == 0:
            at_once(parse)
            os._exit(0)
        crashes += os.waitpid(child, 0)[1] != 0
print(crashes)
"""


def test_the_first_requests_of_a_process_may_come_at_once() -> None:
    """A web process parses bodies in threads; a crash would end it, and every stream on it."""
    ran = subprocess.run([sys.executable, "-c", FIRST_VALUES], capture_output=True, text=True, timeout=120, check=False)
    assert (ran.stdout.strip(), ran.stderr) == ("0", "")
