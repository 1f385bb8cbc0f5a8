"""The text of a provider's error: what clients may read of a traceback or of a web page. Pure."""

import html
import re

_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|^\s*File \"[^\"\n]+\", line \d+", re.MULTILINE)
_LINE_ENDS = re.compile(r"\r\n|\r|\n|\\r\\n|\\n")
_FRAME = re.compile(r"File \"[^\"]{1,500}\", line \d+(?:, in \S{1,200})?")
# Not the path of an address: that begins after a host.
_PATH = re.compile(
    r"(?<![\w:/.~-])(?:~|/(?:app|code|data|etc|home|mnt|opt|private|root|srv|tmp|usr|var|workspace|Users|Volumes))"
    r"(?:/[\w.@+~-]{1,200}){1,50}"
    r"|\b[A-Za-z]:\\(?:[\w .@+~-]{1,200}\\){0,50}[\w.@+~-]{1,200}"
)
_BODY = re.compile(r"<body\b", re.IGNORECASE)
_UNSEEN = re.compile(r"<(?:script|style|title)\b[^<]{0,10000}", re.IGNORECASE)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,500})", re.IGNORECASE)
_TAG = re.compile(r"<[^>]{0,2000}>?")
_MOST_WORDS = 64 << 10
_MOST_PAGE = 200  # characters of a web page


def safe_words(words: str) -> str:
    """An error's words without a traceback, but for its last line, and without the paths of the server's files."""
    words = words[:_MOST_WORDS]
    if _TRACEBACK.search(words):
        lines = [line.strip() for line in _LINE_ENDS.split(words) if line.strip()]
        words = lines[-1] if lines else ""
    return _PATH.sub("(a path)", _FRAME.sub("(a file)", words)).strip()


def page_text(page: bytes) -> str:
    """What a web page says: its title and the beginning of its text."""
    text = page[:_MOST_WORDS].decode("utf-8", "replace")
    title = found[1] if (found := _TITLE.search(text)) else ""
    body = text[found.start() :] if (found := _BODY.search(text)) else text
    said = _TAG.sub(" ", _UNSEEN.sub(" ", body))
    words = [" ".join(html.unescape(part).split()) for part in (title, said)]
    whole = words[1] if words[1].startswith(words[0]) else " ".join(filter(None, words))
    return whole[:_MOST_PAGE]
