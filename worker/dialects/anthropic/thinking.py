"""How hard Claude is asked to think: `reasoning_effort` in the two forms that its models take. Pure.

Since 4.6 a model thinks adaptively, guided by an effort; those up to 4.5 are given a budget of tokens, and refuse the
newer form. The older models are a closed set, so every other name is asked in the newer form first. The effort is a
wish, and an answer without thinking is better than none: where the API forbids thinking, it is left out.

Rules: https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting
"""

import re
from typing import Any

_EFFORTS = {"minimal": "low", **{effort: effort for effort in ("low", "medium", "high", "xhigh", "max")}}
_BUDGETS = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16000, "xhigh": 24000, "max": 32000}  # tokens
_LEAST_BUDGET = 1024  # the API's own
_ADAPTIVE = {"type": "adaptive", "display": "summarized"}  # newer models show nothing unless they are asked to
_DISABLED = {"type": "disabled"}
# Claude 3, 4, 4.1 and 4.5, by number, date or alias.
_OLDER = re.compile(r"claude-(?:3|(?:opus|sonnet|haiku)-4(?:-[015](?!\d)|-20\d{6}|@|$))")


def think(body: dict[str, Any], effort: str) -> None:
    """Put a request's effort into the rest of its body, in the form that the model is likely to know."""
    is_older = _OLDER.search(body["model"]) is not None
    if is_older and effort != "none":
        _put_budget(body, effort)
    elif effort != "none":
        body["output_config"] = {**body.get("output_config", {}), "effort": _EFFORTS[effort]}
        if not _is_tool_forced(body):
            body["thinking"] = _ADAPTIVE
    elif not is_older:  # which think only when asked to; of the newer ones, some do unless a request forbids it
        body["thinking"] = _DISABLED


def thinks_less(body: dict[str, Any], complaint: bytes) -> bool:
    """Whether a refusal was about thinking that `think` asked for; the body then asks for the next simpler form.

    From adaptive to a budget to none: at most two steps.
    """
    if b"thinking" not in complaint and b"effort" not in complaint:
        return False
    thinking, output = body.get("thinking"), body.get("output_config")
    effort = str(output.get("effort")) if isinstance(output, dict) else ""
    if effort in _EFFORTS.values() and (thinking == _ADAPTIVE or (thinking is None and _is_tool_forced(body))):
        _drop(body)
        _put_budget(body, effort)
        return True
    if thinking == _DISABLED or _effort_of_budget(body) is not None:
        del body["thinking"]
        return True
    return False  # `extra` asked for it, and that is the client's own affair


def lower_max_tokens(body: dict[str, Any], max_tokens: int) -> None:
    """Ask for fewer tokens, and a budget of ours with them."""
    effort = _effort_of_budget(body)
    body["max_tokens"] = max_tokens
    if effort is not None:
        del body["thinking"]
        _put_budget(body, effort)


def _put_budget(body: dict[str, Any], effort: str) -> None:
    thinking = _enabled(body, effort)
    if thinking["budget_tokens"] >= _LEAST_BUDGET and not _is_tool_forced(body) and not _is_amid_tools(body):
        body["thinking"] = thinking


def _enabled(body: dict[str, Any], effort: str) -> dict[str, Any]:
    # The API wants the budget below max_tokens; half of them are the answer's.
    return {"type": "enabled", "budget_tokens": min(_BUDGETS[effort], body["max_tokens"] // 2)}


def _effort_of_budget(body: dict[str, Any]) -> str | None:
    """The effort whose budget the body has; None where it has none, or one that is not ours."""
    return next((effort for effort in reversed(_BUDGETS) if body.get("thinking") == _enabled(body, effort)), None)


def _drop(body: dict[str, Any]) -> None:
    body.pop("thinking", None)
    del body["output_config"]["effort"]
    if not body["output_config"]:
        del body["output_config"]


def _is_tool_forced(body: dict[str, Any]) -> bool:
    """The API lets nobody think who must use a tool."""
    return body.get("tool_choice", {}).get("type") in {"any", "tool"}


def _is_amid_tools(body: dict[str, Any]) -> bool:
    """With a budget, what was thought before a tool call has to be sent back with its signature. Is it missing?"""
    *earlier, last = body["messages"] or [{"content": []}]
    called = earlier[-1]["content"] if earlier else []
    is_thought = bool(called) and called[0]["type"] in {"thinking", "redacted_thinking"}
    return not is_thought and any(block["type"] == "tool_result" for block in last["content"])
