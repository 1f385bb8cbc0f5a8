"""A generation: one answer of the model on its way from the provider's chunks into the log.

Pure: it neither reads nor sends, and imports none of requests, redis and rq.
"""

from collections.abc import Sequence

import msgspec

from tokentail.element import End
from tokentail.job import Failure, FailureKind, Status, Usage
from tokentail.log_writer import LogWriter
from worker.chunk import Accepted, Chunk, Finish, Position, ProviderFailure, Terminal, UsageReport


class Generation:
    """Writes an attempt's generation, and knows how it ended."""

    def __init__(self, writer: LogWriter, max_log_bytes: int) -> None:
        self._writer = writer
        self._max_log_bytes = max_log_bytes
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        self._request_id: str | None = None
        self.is_shown = False  # whether readers may have seen some of it

    @property
    def is_finished(self) -> bool:
        """Whether the model has said its last word on what was shown, so that at most the usage is missing."""
        return self.is_shown and self._finish is not None

    def go_on(self) -> None:
        """Go on with what an earlier attempt began: readers have seen some of it, and need not clear anything."""
        self.is_shown = True

    def begin(self, name: str, provider: str, model: str) -> None:
        """Start it, or start it anew: what was shown before is then of a lost past."""
        self._writer.start(name, provider, model)
        self._finish, self._usage, self.is_shown = None, None, False

    def take(self, chunks: Sequence[Chunk]) -> bool:
        """Write what came; whether it was content. Raises ProviderFailure when the log has grown too large."""
        is_content = False
        for chunk in chunks:
            if isinstance(chunk, str):
                if chunk:
                    self._writer.write(chunk)
                    is_content = True
            elif isinstance(chunk, Finish):
                self._finish = chunk
            elif isinstance(chunk, UsageReport):
                self._usage = _later(self._usage, chunk.usage)
            elif isinstance(chunk, Position):
                self._writer.upstream = chunk.text
            elif isinstance(chunk, Accepted):
                self._request_id = chunk.request_id
            elif not isinstance(chunk, Terminal):
                self._writer.write(chunk)
                is_content = True
        self.is_shown = self.is_shown or is_content
        if self._writer.byte_count > self._max_log_bytes:
            message = f"The answer is larger than the {self._max_log_bytes} bytes that this deployment keeps."
            raise ProviderFailure(Failure(FailureKind.TRUNCATED, message))
        return is_content

    def complete(self) -> None:
        """The provider has said all."""
        self._end(Status.COMPLETED, None)

    def fail(self, failure: Failure) -> None:
        """It broke off; what was shown stays."""
        self._end(Status.FAILED, failure)

    def note_failed_call(self, failure: ProviderFailure) -> None:
        """Keep the provider's name for a call that it refused."""
        self._request_id = failure.request_id or self._request_id

    def _end(self, status: Status, failure: Failure | None) -> None:
        finish = self._finish or Finish(None)
        self._writer.write(End(status, finish.reason, finish.provider_reason, self._usage, failure, self._request_id))


def _later(earlier: Usage | None, later: Usage) -> Usage:
    """Providers count as they go: what a later report says holds, what it leaves out stays."""
    if earlier is None:
        return later
    return msgspec.structs.replace(earlier, **{k: v for k, v in msgspec.structs.asdict(later).items() if v is not None})
