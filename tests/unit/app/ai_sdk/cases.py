"""The cases that the server's side and the page's side of the AI SDK's chat share."""

import json
from pathlib import Path
from typing import Any

from tests.unit.app.openai.recorded_logs import JOB, Log
from tokentail.log.batch import Batch

CASES: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parents[3] / "ai_sdk_cases.json").read_text())


def batches_of(case: dict[str, Any]) -> list[Batch]:
    """What the reads of a case gave."""
    resets = case.get("resets", [])
    return [
        Log(case["name"], tuple(json.dumps(e).encode() for e in read) or (b'""',)).batch(
            0, len(read), is_reset=n in resets
        )
        for n, read in enumerate(case["reads"])
    ]


__all__ = ["CASES", "JOB", "batches_of"]
