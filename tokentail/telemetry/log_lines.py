"""Log lines: one format for every process, `time level action key=value …`, on stderr.

Only named facts are logged, by `extra`; a message is a stable action such as `job.requeued`. No prompt, token, key or
query string is ever passed in.
"""

import logging
import socket
import time
from datetime import UTC, datetime

log = logging.getLogger(__name__)

_TELL_AGAIN_S = 60.0
_MOST_TOLD = 1000
_told: dict[str, float] = {}  # key → when it was last logged

_SIGNS = frozenset(' "=')  # by which a line is taken apart; other spaces are not printable
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class LineFormatter(logging.Formatter):
    """Writes the action, the facts given as `extra`, and last the process, by the program's name, host and id."""

    def __init__(self, program: str = "") -> None:
        super().__init__()
        self._process = f"{program}/{socket.gethostname()}" if program else ""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        facts = "".join(f" {k}={_quoted(v)}" for k, v in record.__dict__.items() if k not in _STANDARD)
        # The id is that of each record, because a server may fork after its start.
        process = f" process={_quoted(f'{self._process}-{record.process}')}" if self._process else ""
        line = f"{moment} {record.levelname.lower()} {record.getMessage()}{facts}{process}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(level: str, program: str = "") -> None:
    """Send this process's log to stderr in our format; other libraries speak from WARNING up.

    `program` is the process's part in the deployment: web, worker or supervisor.
    """
    stderr = logging.StreamHandler()
    stderr.setFormatter(LineFormatter(program))
    logging.basicConfig(level="WARNING", handlers=[stderr], force=True)
    for ours in ("tokentail", "app", "worker"):
        logging.getLogger(ours).setLevel(level)


def facts_of(error: BaseException) -> dict[str, str]:
    """Kind and place of an unexpected error: enough to find the bug. Its text may quote a prompt."""
    error = innermost(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    return {"error": type(error).__name__, "at": place}


def innermost(error: BaseException) -> BaseException:
    """The first error inside nested exception groups; any other error itself. The group's own kind explains nothing."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def tell_unreadable(key: str) -> None:
    """Log that something under this key or on this channel of Redis cannot be read, once a minute for each."""
    now = time.monotonic()
    if now - _told.get(key, -_TELL_AGAIN_S) < _TELL_AGAIN_S:
        return
    if len(_told) >= _MOST_TOLD:
        _told.clear()
    _told[key] = now
    log.error("key.unreadable", extra={"key": key})


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and _SIGNS.isdisjoint(text) else repr(text)
