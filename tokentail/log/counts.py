"""Counts: what is known of an answer's size while it comes, so that a job that is stopped has its usage.

Their text is in the job's record, written with each append; `lua/close.lua` makes the usage of an `end` of it. Pure.
"""

import msgspec

from tokentail.jobs.job import Usage
from tokentail.log.element import Code, CustomToolCall, Event, Reasoning, Refusal, ToolCall

BYTES_A_TOKEN = 4  # of UTF-8, in about any language: the rule of thumb that providers give in their documentation


def counts_text(usage: Usage | None, shown_bytes: int) -> str:
    """The counts of the provider and the size of what was shown: `25 3 - - 120`, with a dash for what is not known."""
    counted = usage or Usage()
    numbers = (counted.input_tokens, counted.output_tokens, counted.reasoning_tokens, counted.cached_tokens)
    return " ".join("-" if number is None else str(number) for number in (*numbers, shown_bytes))


def parse_counts(text: str) -> tuple[Usage | None, int]:
    """The counts with this text; none for a text that was not made here."""
    words = text.split(" ")
    if len(words) != 5 or not all(word == "-" or word.isdecimal() for word in words[:4]) or not words[4].isdecimal():
        return None, 0
    incoming, output, reasoning, cached = (None if word == "-" else int(word) for word in words[:4])
    usage = Usage(incoming, output, reasoning, cached)
    return (None if usage == Usage() else usage), int(words[4])


def stopped_usage(usage: Usage | None, shown_bytes: int) -> Usage | None:
    """The usage of an answer that was stopped: what the provider had counted; output that it had not is estimated."""
    counted = usage or Usage()
    if counted.output_tokens is None and shown_bytes:
        return msgspec.structs.replace(counted, output_tokens_estimated=-(-shown_bytes // BYTES_A_TOKEN))
    return usage


def shown_bytes_of(element: Event) -> int:
    """How many bytes of the model's output an event shows: reasoning, refusals, code and calls of tools."""
    if isinstance(element, Reasoning | Refusal | Code):
        return len(element.text.encode())
    if isinstance(element, ToolCall):
        return len(element.arguments.encode())
    return len(element.input.encode()) if isinstance(element, CustomToolCall) else 0
