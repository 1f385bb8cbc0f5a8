"""Log lines: one format for every process, `time level action key=value …`, on stderr.

Only named facts are logged, by `extra`; a message is a stable action such as `job.requeued`. No prompt, token, key or
query string is ever passed in.
"""

import logging
from datetime import UTC, datetime

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


class LineFormatter(logging.Formatter):
    """Writes the action and the facts given as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        facts = "".join(f" {k}={_quoted(v)}" for k, v in record.__dict__.items() if k not in _STANDARD)
        line = f"{moment} {record.levelname.lower()} {record.getMessage()}{facts}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(level: str) -> None:
    """Send this process's log to stderr in our format; other libraries speak from WARNING up."""
    stderr = logging.StreamHandler()
    stderr.setFormatter(LineFormatter())
    logging.basicConfig(level="WARNING", handlers=[stderr], force=True)
    for ours in ("tokentail", "app", "worker"):
        logging.getLogger(ours).setLevel(level)


def facts_of(error: BaseException) -> dict[str, str]:
    """Kind and place of an error that nobody expected: enough to find the bug. Its text may quote a prompt."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
    return {"error": type(error).__name__, "at": place}


def _quoted(value: object) -> str:
    text = str(value)
    return text if text and not any(c.isspace() or c in '"=' or not c.isprintable() for c in text) else repr(text)
