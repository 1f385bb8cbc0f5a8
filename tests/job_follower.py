"""A reader of one job by long polls, which goes on through outages as clients do."""

from http.client import HTTPException
from time import monotonic, sleep

from tests.integration.web_process import Site
from tests.waiting import eventually

_AGAIN_S = 0.1


class JobFollower:
    """Submits a job of the demo and follows it; `gaps_s` are the times between batches with tokens."""

    def __init__(self, web: Site, tokens: int, tps: int = 20) -> None:
        self._web = web
        body = b'{"prompt": "why", "model": "demo?tokens=%d&tps=%d"}' % (tokens, tps)
        submitted = web.ask("POST", "/v1/jobs", body, Content_Type="application/json")
        assert submitted.status == 202, submitted.body
        self.job_id = submitted.json["id"]
        self.tokens: list[str] = []
        self.is_done = False
        self.resets = 0
        self.gaps_s: list[float] = []
        self._cursor = "0"
        self._heard_at: float | None = None

    def read(self, wait_s: int = 1) -> None:
        """One long poll; a 503 or a lost connection is no news."""
        try:
            reply = self._web.ask("GET", f"/v1/jobs/{self.job_id}/tokens?cursor={self._cursor}&wait={wait_s}")
        except (OSError, HTTPException):
            sleep(_AGAIN_S)
            return
        if reply.status != 200:
            assert reply.status == 503, reply.body
            sleep(_AGAIN_S)
            return
        batch = reply.json
        self.resets += batch["reset"]
        self.tokens = ([] if batch["reset"] else self.tokens) + batch["tokens"]
        self._cursor, self.is_done = batch["cursor"], batch["done"]
        if batch["tokens"]:
            now = monotonic()
            if self._heard_at is not None:
                self.gaps_s.append(now - self._heard_at)
            self._heard_at = now

    def read_until(self, count: int, within_s: float = 60) -> None:
        """Read on until it has as many tokens, or all."""

        def has_enough() -> bool:
            if not self.is_done and len(self.tokens) < count:
                self.read()
            return self.is_done or len(self.tokens) >= count

        eventually(has_enough, within_s=within_s, what=f"{count} tokens have arrived")

    def assert_whole(self, count: int) -> None:
        """Every token once, in order, as the server has them."""
        self.read_until(count + 1)
        assert len(self.tokens) == count
        assert "".join(self.tokens).encode() == self._web.ask("GET", f"/v1/jobs/{self.job_id}/text").body
