"""The table of figures: one row for each proxy and configuration, from a report of `python -m bench networks`."""

from datetime import date
from typing import Any

_COLUMNS = (
    ("auto", "first token"),
    ("auto", "longest gap"),
    ("auto", "dead upstream noticed"),
    ("auto", "silence when it died"),
    ("sse", "first token"),
    ("websocket", "first token"),
    ("long", "first token"),
    ("Python client", "first token"),
    ("Python client", "dead upstream noticed"),
    ("long", "unanswered poll given up after its wait"),
)


def figures_table(report: dict[str, Any], day: date) -> str:
    """Seconds; `12 → 0.5` is the JavaScript client before and now. Below the table: when it was measured, and where."""
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for measure in report["measures"]:
        name = measure["name"].removeprefix("networks, ")
        if name == measure["name"]:
            continue
        setup, by, what = name.rsplit(", ", 2)
        now, before = (_seconds(measure[half]) for half in ("ours", "limit"))
        rows.setdefault(setup, {})[by, what] = f"{before} → {now}" if measure["limit"] else now
    head = [
        "| proxy | " + " | ".join(f"{by}: {what}" for by, what in _COLUMNS) + " |",
        "| --- |" + " --- |" * len(_COLUMNS),
    ]
    body = [f"| {setup} | {' | '.join(row.get(each, '') for each in _COLUMNS)} |" for setup, row in rows.items()]
    machine = report["machine"]
    place = (
        f"{machine['cores']} cores of {machine['processor']}; others used {machine['used by others meanwhile']} of them"
    )
    return "\n".join([*head, *body, "", f"Measured on {day.isoformat()}, on {place}."])


def _seconds(values: list[float | None]) -> str:
    """One reading; a reader that saw nothing has "never"."""
    if not values or values[0] is None:
        return "never"
    return f"{values[0]:.2f}" if values[0] < 1 else f"{values[0]:.1f}"
