"""What Gemini says of the sources of an answer, as citations and as results of its tools. Pure.

Google counts its places in the bytes of the answer's text; here they are characters of the text that readers have.
"""

from collections.abc import Iterator
from typing import Any

from tokentail.log.element import Citation, ProviderToolCall, ToolResult
from worker.chunk import Chunk
from worker.upstream.content import citation, json_text, words

_SOURCES = ("web", "retrievedContext", "maps", "image")  # the kinds of a grounding chunk
_QUERIES = ("webSearchQueries", "imageSearchQueries", "retrievalQueries")


class AnswerText:
    """The visible text of an answer as the provider sent it, and where something was put between its parts."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._inserts: list[tuple[int, int]] = []  # (characters before it, characters put there)
        self._length = 0

    @property
    def text(self) -> str:
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self._length += len(piece)

    def insert(self, inserted: str) -> None:
        """Something stands here in the log that the provider did not send."""
        self._inserts.append((self._length, len(inserted)))

    def span(self, start: Any, end: Any, quoted: Any = None) -> tuple[Any, Any]:
        """A place that the provider gives in bytes, in characters of the log's text; nothing where it is no place.

        `quoted` is the text at that place, if the provider gives it: some servers count characters.
        """
        start = 0 if start is None else start  # Google leaves out a zero
        if type(start) is not int or type(end) is not int or not 0 <= start <= end:
            return None, None
        text = self.text
        raw = text.encode("utf-8", "replace")
        begins, ends = (len(raw[:at].decode("utf-8", "ignore")) for at in (start, end))
        if isinstance(quoted, str) and quoted and text[begins:ends] != quoted:
            begins = start if text[start:end] == quoted else text.find(quoted)
            ends = begins + len(quoted)
        elif end > len(raw):
            return None, None
        return (None, None) if begins < 0 else (self._shown(begins), self._shown(ends, is_end=True))

    def _shown(self, at: int, *, is_end: bool = False) -> int:
        return at + sum(size for before, size in self._inserts if before < at or (before == at and not is_end))


def grounding_chunks(told: dict[str, Any], answer: AnswerText) -> Iterator[Chunk]:
    """The searches of an answer, and its sources: each once for every place that it supports."""
    queries = {name: told[name] for name in _QUERIES if told.get(name)}
    if queries:
        yield ProviderToolCall("", "google_search", json_text(queries))
    entry = told.get("searchEntryPoint")
    if isinstance(entry, dict) and isinstance(page := entry.get("renderedContent"), str):
        yield ToolResult("", "google_search", words(page))
    sources = _dicts(told.get("groundingChunks"))
    cited: set[int] = set()
    for support in _dicts(told.get("groundingSupports")):
        segment = support.get("segment")
        segment = segment if isinstance(segment, dict) else {}
        span = answer.span(segment.get("startIndex"), segment.get("endIndex"), segment.get("text"))
        indices = support.get("groundingChunkIndices")
        for index in indices if isinstance(indices, list) else ():
            if type(index) is int and 0 <= index < len(sources):
                cited.add(index)
                yield _citation(sources[index], span)
    for index, source in enumerate(sources):
        if index not in cited:
            yield _citation(source, (None, None))


def citation_chunks(told: dict[str, Any], answer: AnswerText) -> Iterator[Chunk]:
    """The works that the answer repeats words of."""
    for source in _dicts(told.get("citations") or told.get("citationSources")):
        span = answer.span(source.get("startIndex"), source.get("endIndex"))
        yield citation(source.get("uri"), source.get("title") or source.get("license"), "", span)


def url_chunks(told: dict[str, Any], _answer: AnswerText) -> Iterator[Chunk]:
    """The pages that the provider read for the answer."""
    if pages := _dicts(told.get("urlMetadata")):
        yield ToolResult("", "url_context", json_text(pages))


def _citation(source: dict[str, Any], span: tuple[Any, Any]) -> Citation:
    kind = next((name for name in _SOURCES if isinstance(source.get(name), dict)), None)
    fields = source[kind] if kind else next((value for value in source.values() if isinstance(value, dict)), {})
    url = next((fields[name] for name in ("uri", "sourceUri", "imageUri", "documentName") if fields.get(name)), "")
    return citation(url, fields.get("title") or fields.get("domain"), fields.get("text"), span)


def _dicts(values: Any) -> list[dict[str, Any]]:
    # What is no object keeps its place, because others count it.
    return [value if isinstance(value, dict) else {} for value in values] if isinstance(values, list) else []
