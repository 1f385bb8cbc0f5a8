"""A generation: one answer of the model on its way from the provider's chunks into the log.

Pure: it neither reads nor sends, and imports none of requests, redis and rq.
"""

from collections.abc import Sequence

import msgspec
from msgspec import UNSET

from tokentail.jobs.job import Failure, FailureKind, FinishReason, Status, Usage
from tokentail.log.counts import stopped_usage
from tokentail.log.element import Content, CustomToolCall, End, ToolCall
from tokentail.log.writer import LogWriter
from worker.chunk import (
    Accepted,
    Chunk,
    Finish,
    Position,
    ProviderFailure,
    UsageReport,
    is_visible,
    takes_reason_back,
)

_MOST_WAITING = 1000  # events that wait for the first content of their answer


class Generation:
    """Writes an attempt's generation, and knows how it ended."""

    def __init__(self, writer: LogWriter, max_log_bytes: int, max_tokens: int | None = None) -> None:
        """`max_tokens` is what the request asked for."""
        self._writer = writer
        self._max_log_bytes = max_log_bytes
        self._max_tokens = max_tokens
        self._finish: Finish | None = None
        self._usage: Usage | None = None
        # Of the answer that readers see, while a new one has no content yet.
        self._shown_usage: Usage | None = writer.usage if writer.shown_bytes else None
        self._request_id: str | None = None
        self._waiting: list[Content] = []  # came before the answer's first visible content, which starts its generation
        self._is_tool_call = False  # the last content was a tool call
        self.is_shown = False  # whether readers may have seen some of this answer

    @property
    def is_finished(self) -> bool:
        """Whether the model has said its last word on what was shown, so that at most the usage is missing."""
        if self._finish is None:
            return False
        return self.is_shown or self._finish.reason is FinishReason.CONTENT_FILTER

    def begin(self, name: str, provider: str, model: str) -> None:
        """A new answer is asked for. Its generation starts with its first content; what was shown stays until then."""
        self._writer.begin(name, provider, model)
        if self.is_shown:
            self._shown_usage = self._usage
        self._finish, self._usage = None, None
        self.is_shown = self._is_tool_call = False
        self._waiting.clear()
        self._writer.usage = self._counted

    def go_on(self, name: str, provider: str, model: str) -> None:
        """An answer is taken up again, by its own attempt or by a later one. What was shown of it stays.

        If nothing was shown of it, its generation is yet to start.
        """
        self._finish = None
        if self.is_shown:
            return
        if self._writer.is_upstream_shown:
            self.is_shown, self._usage = True, self._writer.usage
        else:
            position = self._writer.upstream
            self._writer.begin(name, provider, model)
            self._writer.upstream = position

    def take(self, chunks: Sequence[Chunk]) -> bool:
        """Write what came; whether it was content. Raises ProviderFailure when the log has grown too large."""
        is_content = False
        for chunk in chunks:
            if isinstance(chunk, str):
                if chunk:
                    self._finish, self._is_tool_call = None, False
                    self._show(chunk)
                    is_content = True
            elif isinstance(chunk, Finish):
                self._finish = chunk
            elif isinstance(chunk, UsageReport):
                self._usage = _later(self._usage, chunk.usage)
            elif isinstance(chunk, Position):
                self._writer.upstream = chunk.text
            elif isinstance(chunk, Accepted):
                self._request_id = chunk.request_id
            elif isinstance(chunk, Content):
                if takes_reason_back(chunk):
                    self._finish, self._is_tool_call = None, isinstance(chunk, ToolCall | CustomToolCall)
                if is_visible(chunk):
                    self._show(chunk)
                    is_content = True
                else:
                    self._add_unseen(chunk)
        self._writer.usage = self._counted
        if self._writer.byte_count > self._max_log_bytes or len(self._waiting) > _MOST_WAITING:
            message = f"The answer is larger than the {self._max_log_bytes} bytes that this deployment keeps."
            raise ProviderFailure(Failure(FailureKind.TRUNCATED, message))
        return is_content

    def complete(self) -> None:
        """The provider has said all."""
        self._write_waiting()
        self._end(Status.COMPLETED, self._last_word(), self._usage, None)

    def fail(self, failure: Failure) -> None:
        """The generation broke off; the text that was shown stays, be it of this answer or of the one before."""
        self._end(Status.FAILED, Finish(None), stopped_usage(self._counted, self._writer.shown_bytes), failure)

    def note_failed_call(self, failure: ProviderFailure) -> None:
        """Keep the provider's name for a call that it refused."""
        self._request_id = failure.request_id or self._request_id

    @property
    def _counted(self) -> Usage | None:
        """What the provider counted of what readers see."""
        return self._usage if self.is_shown else self._shown_usage or self._usage

    def _show(self, element: str | Content) -> None:
        if self._waiting:
            self._write_waiting()
        self._writer.write(element)
        self.is_shown = True

    def _add_unseen(self, element: Content) -> None:
        if self.is_shown:
            self._writer.write(element)
        else:
            self._waiting.append(element)

    def _write_waiting(self) -> None:
        for element in self._waiting:
            self._writer.write(element)
        self._waiting.clear()

    def _last_word(self) -> Finish:
        """The finish reason; servers that say `stop` also at the limit of tokens are put right."""
        finish, usage = self._finish or Finish(None), self._usage
        if finish.reason is not FinishReason.STOP or self._is_tool_call or self._max_tokens is None or usage is None:
            return finish
        is_at_limit = usage.output_tokens is not None and usage.output_tokens >= self._max_tokens
        return Finish(FinishReason.LENGTH, finish.provider_reason) if is_at_limit else finish

    def _end(self, status: Status, finish: Finish, usage: Usage | None, failure: Failure | None) -> None:
        self._writer.write(End(status, finish.reason, finish.provider_reason, usage, failure, self._request_id))


def _later(earlier: Usage | None, later: Usage) -> Usage | None:
    """Providers count as they go: a later report replaces what it contains, and the rest stays."""
    counted = {name: count for name, count in msgspec.structs.asdict(later).items() if count not in {None, UNSET}}
    return msgspec.structs.replace(earlier or Usage(), **counted) if counted else earlier
