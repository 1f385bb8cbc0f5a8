"""Fields of events of Anthropic's Messages, in the forms in which servers send them. Pure.

All raise ProviderFailure (malformed) for a field of another form.
"""

from typing import Any, TypeVar

from worker.upstream.event_data import malformed_event

_Form = TypeVar("_Form")


def field(value: dict[str, Any], name: str, form: type[_Form]) -> _Form | None:
    """A field of this form, where it is there and not null."""
    found = value.get(name)
    if found is None or isinstance(found, form):
        return found
    raise malformed_event()


def objects(value: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a field that has one, or a list of them."""
    found = value.get(name)
    return [field({"": each}, "", dict) or {} for each in (found if isinstance(found, list) else [found])]


def block_index(value: Any) -> int | None:
    """A block's index, which some servers write as a string."""
    return int(value) if isinstance(value, str) and value.isdecimal() else field({"": value}, "", int)
