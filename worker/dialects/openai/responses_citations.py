"""Annotations of a text of OpenAI's Responses as citations. Pure."""

from typing import Any

from tokentail.log.element import Citation
from worker.upstream.content import citation, words


def cited(told: dict[str, Any], begins_at: int | None) -> Citation | None:
    """An annotation, whatever its type; None for one that names no source.

    `begins_at` is where its text begins in the answer's, if that is known. A file has no address here: its name, with
    that of its container, stands in the address's place.
    """
    file = "/".join(words(told[name]) for name in ("container_id", "file_id") if told.get(name))
    url, title = words(told.get("url")) or file, told.get("title") or told.get("filename")
    if not url and not title:
        return None
    span: tuple[Any, Any] = (None, None)
    if begins_at is not None and "start_index" in told:
        span = told["start_index"], told.get("end_index")
    elif begins_at is not None and told.get("type") == "file_citation":
        span = (told.get("index"),) * 2  # where to put the citation's mark
    return citation(url, title, told.get("text"), span, begins_at or 0)
