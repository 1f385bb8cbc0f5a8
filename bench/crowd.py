"""The crowd: followers that come and go, read by one thread with an epoll."""

import heapq
import itertools
import select
import time
from collections.abc import Callable, Iterator

from bench.follower import Follower


class Crowd:
    """Add followers, and give it turns."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._by_number: dict[int, Follower] = {}
        self._due: list[tuple[float, int, Follower]] = []
        self.faults: list[tuple[Follower, str]] = []  # followers with an answer that must not occur; they are dropped
        self._places = itertools.count()  # so that no two followers are compared

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Follower]:
        return iter([*self._by_number.values()])

    def add(self, follower: Follower) -> None:
        """Start a follower."""
        number = follower.socket.fileno()
        self._by_number[number] = follower
        self._epoll.register(number, select.EPOLLIN)
        follower.begin()

    def drop(self, follower: Follower) -> None:
        """Close a follower's connection."""
        number = follower.socket.fileno()
        del self._by_number[number]
        self._epoll.unregister(number)
        follower.socket.close()

    def turn(self, until: float) -> list[Follower]:
        """Let those ask who are due, and read what there is, waiting for it until then; those who saw their end."""
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            follower = heapq.heappop(self._due)[2]
            if follower.socket.fileno() >= 0:
                self._tried(follower, follower.turn)
        wake_at = min(self._due[0][0], until) if self._due else until
        over = []
        for number, _ in self._epoll.poll(max(wake_at - time.monotonic(), 0.0)):
            follower = self._by_number[number]
            if not self._tried(follower, follower.read):
                continue
            if follower.is_over:
                self.drop(follower)
                over.append(follower)
            elif follower.due is not None:
                if follower.due <= time.monotonic():
                    self._tried(follower, follower.turn)
                else:
                    heapq.heappush(self._due, (follower.due, next(self._places), follower))
                    follower.due = None
        return over

    def _tried(self, follower: Follower, step: Callable[[], None]) -> bool:
        try:
            step()
        except (RuntimeError, OSError) as error:
            self.faults.append((follower, str(error)))
            self.drop(follower)
            return False
        return True
