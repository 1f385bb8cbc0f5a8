"""An earlier answer, as a provider gets it back: what its state has is in its place, the rest follows. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokentail.jobs.message import Message, MessageToolCall, state_lists

Item = dict[str, Any]


@dataclass(frozen=True)
class EarlierAnswer:
    """What of a turn goes back as the provider gave it, and what only the turn's own fields have."""

    items: list[Item]
    text: str
    calls: list[MessageToolCall]


def earlier_answer(
    turn: Message, dialect: str, text_of: Callable[[Item], str | None], call_of: Callable[[Item], str | None]
) -> EarlierAnswer:
    """Nothing is sent twice: text and calls that the state has are left out of the rest, where the client kept them.

    `text_of` gives the text of an item that is visible text, `call_of` the id of one that is a call; None for others.
    """
    state = [item for items in state_lists(turn, dialect).values() for item in items]
    said = "".join(text_of(item) or "" for item in state)
    is_said = turn.text.startswith(said)  # else the client changed the answer
    calls = {call.id: call for call in turn.tool_calls or ()}
    items: list[Item] = []
    for item in state:
        if text_of(item) is not None:
            is_kept = is_said
        elif (call_id := call_of(item)) is not None:
            is_kept = calls.pop(call_id, None) is not None
        else:
            is_kept = True
        if is_kept:
            items.append(item)
    return EarlierAnswer(items, turn.text[len(said) if is_said else 0 :], list(calls.values()))
