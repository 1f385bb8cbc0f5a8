"""One worker process: `python -m worker`. Patched for greenlets before anything else is imported."""

import signal
import sys

for signum in (signal.SIGTERM, signal.SIGINT):
    signal.signal(signum, lambda *_: sys.exit(0))  # until it works it has nothing to hand over

from gevent import monkey  # noqa: E402

monkey.patch_all()

from worker.main import main  # noqa: E402

sys.exit(main())
