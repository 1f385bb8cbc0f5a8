"""What models refuse: the same call without it, remembered, so that the next call does not ask for it again. Pure.

A complaint is the body of a refusal. An amendment is a function that looks for one thing in a complaint, and changes
what was asked so that this thing is no cause of a refusal any more. It returns whether it changed anything.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import msgspec

from worker.upstream.provider import HttpCall

Amendment = Callable[[dict[str, Any], bytes], bool]

_REFUSED = frozenset({400, 422})
_MOST_MODELS = 500  # of which complaints are kept, the latest ones
_MOST_COMPLAINTS = 12  # of one model
_MOST_BYTES = 4096  # of a complaint that is kept, or read

# Wishes about sampling: an answer without them is better than none.
SAMPLING = (
    *("temperature", "top_p", "top_k", "min_p", "seed"),
    *("presence_penalty", "frequency_penalty", "repetition_penalty"),
)
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_IS_UNSUPPORTED = re.compile(
    r"unsupported|(?:not|n't|no longer|only) support|deprecated|unknown|unrecogni[sz]ed|unexpected"
    r"|extra (?:input|field)"
    r"|not (?:be )?(?:allowed|permitted|available|accepted|recogni[sz]ed|configurable|compatible)|incompatible"
    r"|only the default|only be (?:set|used)|cannot (?:both )?be|does not (?:have|take|accept)|no such",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"supported values|values are|one of|should be|must be|expected|allowed|valid|available", re.IGNORECASE
)
_EFFORT = re.compile(
    r"(?<![a-z])(?:(minimal|low|medium|high|xhigh)|(?<=['\"`])(none|max)(?=['\"`]))(?![a-z])", re.ASCII
)
_TOLD_IN = frozenset({"code", "detail", "field", "message", "msg", "param", "property", "raw", "reason", "type"})
_INSIDE = frozenset({"detail", "details", "error", "errors", "metadata", "raw"})


class Refusals:
    """The complaints about calls of one provider, by model. `amendments` are tried in order."""

    def __init__(self, *amendments: Amendment) -> None:
        self._amendments = amendments
        self._complaints: dict[tuple[str, bytes], tuple[bytes, ...]] = {}

    def heeded(self, call: HttpCall) -> HttpCall:
        """The call without what its model refused before."""
        if not self._complaints:
            return call
        asked = shallow(call.body)
        is_changed = [self._amend(asked, complaint) for complaint in self._complaints.get(_model_of(call, asked), ())]
        return replace(call, body=msgspec.json.encode(asked)) if any(is_changed) else call

    def amended(self, call: HttpCall, status: int, complaint: bytes) -> HttpCall | None:
        """The call without what its model refuses now; None where nothing can be left out."""
        if status not in _REFUSED:
            return None
        asked = shallow(call.body)
        model = _model_of(call, asked)
        if not self._amend(asked, complaint):
            return None
        kept = self._complaints.pop(model, ())
        if len(complaint) <= _MOST_BYTES and complaint not in kept:
            kept = (*kept, complaint)[-_MOST_COMPLAINTS:]
        self._complaints[model] = kept
        if len(self._complaints) > _MOST_MODELS:
            self._complaints.pop(next(iter(self._complaints)), None)
        return replace(call, body=msgspec.json.encode(asked))

    def _amend(self, asked: dict[str, Any], complaint: bytes) -> bool:
        return any(amendment(asked, complaint) for amendment in self._amendments)


def _model_of(call: HttpCall, asked: dict[str, Any]) -> tuple[str, bytes]:
    """The model of a call. Some dialects name it in the address, the others in the body."""
    return call.url, bytes(asked.get("model", b""))


def shallow(body: bytes) -> dict[str, Any]:
    """A call's body as a dictionary whose values stay as they are written: what they hold may be large."""
    return dict(msgspec.json.decode(body, type=dict[str, msgspec.Raw]))


def plain(value: Any) -> Any:
    """A value of a `shallow` body."""
    return msgspec.json.decode(value) if isinstance(value, msgspec.Raw) else value


def without(name: str) -> Amendment:
    """Leave a field out that the complaint names."""

    def amend(asked: dict[str, Any], complaint: bytes) -> bool:
        return name.encode() in complaint and asked.pop(name, None) is not None

    return amend


def renamed(name: str, newer: str) -> Amendment:
    """Call a field by the newer name that the complaint gives."""

    def amend(asked: dict[str, Any], complaint: bytes) -> bool:
        if newer.encode() not in complaint or name not in asked:
            return False
        asked[newer] = asked.pop(name)
        return True

    return amend


def without_sampling(place: str = "") -> Amendment:
    """Leave out the wishes about sampling that the complaint calls unsupported; `place` is the object they are in."""

    def amend(asked: dict[str, Any], complaint: bytes) -> bool:
        options = plain(asked.get(place)) if place else asked
        if not isinstance(options, dict):
            return False
        given = {name for option in options for name in SAMPLING if _same(option) == _same(name)}
        refused = set(_refused(given, complaint))
        for option in [option for option in options if _same(option) in map(_same, refused)]:
            del options[option]
        if refused and place:
            asked[place] = options
        return bool(refused)

    return amend


def nearest_effort(*path: str, is_optional: bool = True) -> Amendment:
    """Ask for the nearest effort that the complaint lists, or for the next one; if `is_optional`, for none at all."""

    def amend(asked: dict[str, Any], complaint: bytes) -> bool:
        places: list[dict[str, Any]] = [asked]
        for name in path[:-1]:
            inner = plain(places[-1].get(name))
            if not isinstance(inner, dict):
                return False
            places[-1][name] = inner
            places.append(inner)
        effort = plain(places[-1].get(path[-1]))
        if not isinstance(effort, str) or effort not in EFFORTS:
            return False
        told = [text for text in statements(complaint) if re.search(r"effort|think|level", text, re.IGNORECASE)]
        instead = next((found for text in told if (found := _other_effort(effort, text)) is not None), None)
        if instead is None or not (instead or is_optional):
            return False
        if instead:
            places[-1][path[-1]] = instead
        else:
            del places[-1][path[-1]]
            for outer, name in list(zip(places, path[:-1], strict=False))[::-1]:
                if not outer[name]:
                    del outer[name]
        return True

    return amend


def in_turns(place: str, names: Iterable[str]) -> Amendment:
    """Leave out of earlier turns, and of their parts and calls, those fields that the complaint calls unsupported."""
    known = frozenset(names)

    def amend(asked: dict[str, Any], complaint: bytes) -> bool:
        refused = {
            name for text in statements(complaint) if _IS_UNSUPPORTED.search(text) for name in _named(known, text)
        }
        if not refused or place not in asked:
            return False
        turns = plain(asked[place])
        count = sum(_removed(turn, refused) for turn in turns)
        asked[place] = turns
        return count > 0

    return amend


def developer_as_system(place: str) -> Amendment:
    """Call the role `developer` by its older name, where the complaint is about it."""

    def amend(asked: dict[str, Any], complaint: bytes) -> bool:
        if b"developer" not in complaint or b"role" not in complaint.lower() or place not in asked:
            return False
        turns = plain(asked[place])
        named = [turn for turn in turns if isinstance(turn, dict) and turn.get("role") == "developer"]
        for turn in named:
            turn["role"] = "system"
        asked[place] = turns
        return bool(named)

    return amend


def statements(complaint: bytes) -> Iterator[str]:
    """What a complaint says, without what it repeats of the request: one text for each object with words."""
    text = complaint[:_MOST_BYTES].decode("utf-8", "replace")
    try:
        value = json.loads(complaint)
    except (ValueError, RecursionError):
        yield text
    else:
        yield from _statements(value, 0)


def _statements(value: Any, depth: int) -> Iterator[str]:
    if depth > 8:
        return
    if isinstance(value, str):
        yield from statements(value.encode("utf-8", "replace")) if value.startswith("{") and depth < 4 else [value]
    elif isinstance(value, list):
        for inner in value:
            yield from _statements(inner, depth + 1)
    elif isinstance(value, dict):
        told = [str(text) for name, text in value.items() if name in _TOLD_IN and isinstance(text, str)]
        told += [str(step) for name in ("loc", "path") if isinstance(value.get(name), list) for step in value[name]]
        if told:
            yield " ".join(told)[:_MOST_BYTES]
        for name in value.keys() & _INSIDE:
            yield from _statements(value[name], depth + 1)


def _refused(names: set[str], complaint: bytes) -> Iterator[str]:
    for text in statements(complaint):
        if _IS_UNSUPPORTED.search(text):
            found = _named(names, text)
            is_one_too_many = "top_p" in found and "temperature" in found and "both" in text
            yield from ["top_p"] if is_one_too_many else found


def _named(names: Iterable[str], text: str) -> list[str]:
    """The names that stand in the text, in snake or camel case."""
    return [
        name
        for name in names
        if re.search(rf"(?<![A-Za-z0-9]){name.replace('_', '_?')}(?![A-Za-z0-9])", text, re.IGNORECASE)
    ]


def _same(name: str) -> str:
    return name.replace("_", "").lower()


def _other_effort(effort: str, text: str) -> str | None:
    """What to ask for in place of an effort: "" for none at all, None where the text does not refuse it."""
    words = text.lower()
    found = _LIST.search(words)
    listed = [EFFORTS.index(word) for word in _efforts(words[found.end() :])] if found else []
    at = EFFORTS.index(effort)
    if len(listed) > 1:
        return None if at in listed else EFFORTS[min(listed, key=lambda each: (abs(each - at), each))]
    named = _efforts(words)
    if effort in named:
        middle = EFFORTS.index("medium")
        return EFFORTS[at + (1 if at < middle else -1)] if at != middle else ""
    return "" if not named and _IS_UNSUPPORTED.search(words) else None


def _efforts(words: str) -> list[str]:
    return [found[1] or found[2] for found in _EFFORT.finditer(words)]


def _removed(value: Any, names: set[str]) -> int:
    """Take fields with these names out of a turn, its parts and its calls; how many there were."""
    if not isinstance(value, dict):
        return 0
    count = sum(value.pop(name, None) is not None for name in names)
    inner = [each for place in ("content", "tool_calls") if isinstance(value.get(place), list) for each in value[place]]
    return count + sum(_removed(each, names) for each in inner)
