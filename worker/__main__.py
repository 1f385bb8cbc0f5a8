"""One worker process: `python -m worker`. Patched for greenlets before anything else is imported."""

from gevent import monkey

monkey.patch_all()

import sys  # noqa: E402

from worker.main import main  # noqa: E402

sys.exit(main())
