"""One worker process: `python -m worker`. Patched for greenlets before anything else is imported."""

import signal
import sys

_STOPS = (signal.SIGTERM, signal.SIGINT)
for signum in _STOPS:
    signal.signal(signum, lambda *_: sys.exit(0))  # until it works it has nothing to hand over

from gevent import config, monkey  # noqa: E402

config.track_greenlet_tree = False  # else each job keeps the frames in which its greenlet was started
monkey.patch_all()

from tokentail.config.library_checks import exit_if_changed  # noqa: E402
from tokentail.config.library_parts import WORKER  # noqa: E402

exit_if_changed(WORKER)  # before the imports that would fail

from worker.main import main  # noqa: E402

code = main()
for signum in _STOPS:
    signal.signal(signum, signal.SIG_IGN)  # it goes already; Python's teardown would give them their default back
sys.exit(code)
