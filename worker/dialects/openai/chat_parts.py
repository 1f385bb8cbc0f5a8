"""Media and sources in the forms that Chat Completions and its kin have for them, as events of the log. Pure."""

from collections.abc import Iterator
from typing import Any, Literal

from tokentail.log.element import Citation, Media
from worker.upstream.content import citation, words

_Kind = Literal["image", "audio", "video", "file"]
# Types of parts, without what may stand before and behind: `input_image`, `image_url` and `output_image` are one.
_KINDS: dict[str, _Kind] = {"image": "image", "audio": "audio", "video": "video", "file": "file", "document": "file"}
_AFFIXES = ("input_", "output_", "generated_"), ("_url", "_file", "_data")
_DATA = ("data", "b64_json", "base64", "file_data", "image_base64", "result")
_ADDRESSES = ("url", "uri", "file_url", "image_url", "file_id", "id")
_TYPES = ("media_type", "mime_type", "mimeType", "content_type")
_FORMATS = ("format", "output_format")
_URLS = ("url", "link", "uri", "source_url", "source", "file_id")
_TITLES = ("title", "name", "filename", "file_name", "document_title")
_QUOTES = ("cited_text", "content", "text", "snippet", "description", "quote")


def medium(part: Any, index: int, kind: str = "") -> Media | None:
    """A part of any form as a medium; None for a part of another kind, or without content and address.

    `kind` is what it is where the part itself has no type.
    """
    if isinstance(part, str):
        part = {"url" if part.startswith(("http://", "https://", "data:")) else "data": part}
    if not isinstance(part, dict):
        return None
    named = words(part.get("type")) or kind
    found = _KINDS.get(_bare(named)) or _KINDS.get(kind)
    if found is None:
        return None
    inner = next((value for name, value in part.items() if name != "type" and _is_of(name, named, value)), None)
    inner = {**part, **inner} if isinstance(inner, dict) else part if inner is None else {**part, "url": inner}
    if isinstance(source := inner.get("source"), dict):  # Anthropic's form
        inner = {**inner, **source}
    media_type = _first(inner, _TYPES)
    if not media_type and (form := _first(inner, _FORMATS)):
        media_type = f"{found}/{form}" if found != "file" else ""
    data, url = _first(inner, _DATA), _first(inner, _ADDRESSES)
    if not data and url and not url.startswith(("http://", "https://", "data:")) and "_" not in url and len(url) > 100:
        data = url  # base64 in the place of an address
    if data.startswith("data:"):
        data, url = "", data
    if url.startswith("data:") and not data:
        head, _, data = url.removeprefix("data:").partition(",")
        if not head.endswith(";base64"):
            return Media(index, found, media_type or head.partition(";")[0], url=url)
        media_type = head.partition(";")[0] or media_type
    if data:
        return Media(index, found, media_type, data=data)
    return Media(index, found, media_type, url=url) if url else None


def source(told: Any) -> Citation | None:
    """An annotation or a source of any form as a citation; None where it has neither address nor title."""
    if isinstance(told, str):
        return citation(told, "")
    if not isinstance(told, dict):
        return None
    kind = words(told.get("type"))
    inner = told.get(kind) if kind and isinstance(told.get(kind), dict) else None
    inner = inner or next(
        (told[name] for name in ("url_citation", "file", "web") if isinstance(told.get(name), dict)), {}
    )
    told = {**told, **inner}
    url, title = _first(told, _URLS), _first(told, _TITLES)
    span = told.get("start_index", told.get("start")), told.get("end_index", told.get("end"))
    return citation(url, title, _first(told, _QUOTES), span) if url or title else None


def texts(value: Any) -> Iterator[str]:
    """The texts in a value that is a text, an object with one, or a list of such."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from texts(
            next((value[name] for name in ("text", "value", "content", "thinking") if value.get(name)), None)
        )
    elif isinstance(value, list):
        for each in value:
            yield from texts(each)


def _is_of(name: str, kind: str, value: Any) -> bool:
    """Whether a field holds the medium, in an object of its own or as an address."""
    return isinstance(value, dict | str) and (name == kind or (_bare(name) in _KINDS and name not in _DATA))


def _bare(kind: str) -> str:
    before, after = _AFFIXES
    for affix in before:
        kind = kind.removeprefix(affix)
    for affix in after:
        kind = kind.removesuffix(affix)
    return kind


def _first(fields: dict[str, Any], names: tuple[str, ...]) -> str:
    """The first of these fields that has a text."""
    return next((found for name in names if (found := words(fields.get(name)))), "")
