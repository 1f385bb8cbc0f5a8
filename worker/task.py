"""The task that RQ calls by name, with the job id as its only argument."""

from worker.running.runner import Runner

_runner: Runner | None = None


def bind(runner: Runner) -> None:
    """Name the runner of this process. RQ finds functions by their import path, so something must be global."""
    global _runner  # noqa: PLW0603
    _runner = runner


def run(job_id: str) -> str:
    """See the job to its end; what became of it, in a word for operators."""
    if _runner is None:
        raise RuntimeError("This process runs no jobs. Start one that does with: python -m worker")
    return _runner.run(job_id)
