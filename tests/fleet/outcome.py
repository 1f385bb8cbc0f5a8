"""What one fault cost, over all rounds in which it was done; and the table of all faults."""

import re
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = (
    "fault",
    "store",
    "rounds",
    "readers silent: median (most)",
    "readers of jobs elsewhere",
    "resets",
    "submissions refused",
    "seen",
)


@dataclass
class Outcome:
    """Silences are in seconds, one for each reader and round."""

    fault: str
    store: str
    rounds: int = 0
    hit_s: list[float] = field(default_factory=list)
    others_s: list[float] = field(default_factory=list)
    resets: int = 0
    submitted: int = 0
    refused: int = 0  # submissions that were refused at least once
    notes: list[str] = field(default_factory=list)  # of the last round

    def cells(self) -> tuple[str, ...]:
        """The row of this fault in the table."""
        return (
            self.fault,
            self.store,
            str(self.rounds),
            _silence(self.hit_s),
            _silence(self.others_s),
            str(self.resets),
            f"{self.refused} of {self.submitted}",
            "; ".join(self.notes),
        )


def _silence(silences_s: list[float]) -> str:
    return f"{statistics.median(silences_s):.1f} s ({max(silences_s):.1f})" if silences_s else ""


def table(outcomes: Iterable[Outcome]) -> str:
    """Markdown: a row for each fault, in the order in which they were done first."""
    rows = [_HEAD, ("---",) * len(_HEAD), *(outcome.cells() for outcome in outcomes)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def write_into(page: Path, store: str, rows: str) -> None:
    """Put a store's table between its two marks in a page. Raises LookupError when they are not there."""
    marks = re.compile(rf"(<!-- {store}: written by tests.fleet -->\n).*?(<!-- end of {store} -->\n)", re.DOTALL)
    text, count = marks.subn(lambda found: f"{found[1]}\n{rows}\n\n{found[2]}", page.read_text())
    if count != 1:
        raise LookupError(f"{page} has no place for the table of {store}")
    page.write_text(text)
