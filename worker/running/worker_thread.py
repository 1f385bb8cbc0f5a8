"""Work aside: what takes a large request long is done by a thread, and the event loop goes on with the other jobs.

The interpreter's lock is still shared: a single call into C, such as decoding JSON, holds it to its end. Between lines
of Python it changes hands after the interpreter's switch interval, which `tokentail/pauses.py` makes short.
"""

import operator
from collections.abc import Callable
from typing import Any, cast

from gevent.threadpool import ThreadPool

from worker.upstream.seams import Aside, Result

_LARGE = 64 << 10  # bytes of a request; for a smaller one a thread costs more than it saves
_pool: Any = ThreadPool(1)  # a second thread would take turns of the event loop's


def aside_for(size: int) -> Aside:
    """How to do the work that a request of so many bytes makes."""
    return _in_thread if size > _LARGE else operator.call


def _in_thread(work: Callable[[], Result], /) -> Result:
    result, error = _pool.apply(_outcome, (work,))
    if error is not None:
        raise error
    return cast("Result", result)


def _outcome(work: Callable[[], Result]) -> tuple[Result | None, Exception | None]:
    """What came of it: gevent writes errors of threads, and with them whatever they quote, to stderr."""
    try:
        return work(), None
    except Exception as error:
        return None, error
