"""The tasks that RQ calls by name, each with a job id as its only argument."""

from worker.running.runner import Runner
from worker.webhooks.delivery import Deliverer

_runner: Runner | None = None
_deliverer: Deliverer | None = None


def bind(runner: Runner, deliverer: Deliverer | None = None) -> None:
    """Name what this process works with. RQ finds functions by their import path, so something must be global."""
    global _runner, _deliverer
    _runner, _deliverer = runner, deliverer


def run(job_id: str) -> str:
    """See the job to its end; what became of it, in a word for operators."""
    if _runner is None:
        raise RuntimeError("This process runs no jobs. Start one that does with: python -m worker")
    return _runner.run(job_id)


def deliver(job_id: str) -> str:
    """Try the webhook of an ended job; what became of it, in a word for operators."""
    if _deliverer is None:
        raise RuntimeError("This process sends no webhooks. Set TOKENTAIL_WEBHOOK_URLS, and start: python -m worker")
    return _deliverer.deliver(job_id)
