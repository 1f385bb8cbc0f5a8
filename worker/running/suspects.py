"""Suspects: jobs whose workers were lost, of which this process runs only a few at once.

A job that kills its worker takes its neighbours along, and each of them looks like the culprit. So the nearer a job is
to its last loss, the fewer like it run together: 64, then 8, then one alone. Where one job kills all those workers, it
is in every loss, so nobody was lost more often than it; and on its last try nobody near its own end is beside it. It
fails, and the others go on.
"""

_FEWER = 8


class Suspects:
    """The suspects that this process runs. `take` says whether another may join; a refused one stays in the queue."""

    def __init__(self, slots: int, max_losses: int) -> None:
        self._max_losses = max_losses
        self._losses: dict[str, int] = {}  # attempt → how often its job was lost before
        # How often a job may have been lost and still be no suspect. A job that was never lost is no suspect.
        self.freely = max(losses for losses in range(max_losses) if losses == 0 or self._at_most(losses) >= slots)

    def take(self, attempt: str, losses: int) -> bool:
        """Whether the attempt at a job that was lost so often may begin; if so, `leave` must follow."""
        beside = sum(others >= losses for held, others in self._losses.items() if held != attempt)
        if beside >= self._at_most(losses):
            return False
        self._losses[attempt] = losses
        return True

    def leave(self, attempt: str) -> None:
        """The attempt is over, or did not begin. An attempt at a job that is no suspect may be given, too."""
        self._losses.pop(attempt, None)

    def _at_most(self, losses: int) -> int:
        """How many that were lost so often, or more often, may run at once."""
        return int(_FEWER ** max(self._max_losses - losses - 1, 0))
