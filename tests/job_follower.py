"""A reader of one job by long polls, which goes on through outages as clients do."""

from tests.integration.web_process import Site
from tests.waiting import eventually


class JobFollower:
    """Submits a job of the demo, of 20 tokens a second, and follows it."""

    def __init__(self, web: Site, tokens: int) -> None:
        self._web = web
        body = b'{"prompt": "why", "model": "demo?tokens=%d&tps=20"}' % tokens
        self.job_id = ""

        def is_submitted() -> bool:
            reply = web.ask("POST", "/v1/jobs", body, Content_Type="application/json")
            self.job_id = reply.json.get("id", "")
            assert reply.status in {202, 503}, reply.body
            return reply.status == 202

        eventually(is_submitted, within_s=20, what="the job is accepted")
        self.tokens: list[str] = []
        self.is_done = False
        self._cursor = "0"

    def read(self) -> None:
        """One long poll; a 503 is no news."""
        reply = self._web.ask("GET", f"/v1/jobs/{self.job_id}/tokens?cursor={self._cursor}&wait=1")
        if reply.status != 200:
            assert reply.status == 503, reply.body
            return
        batch = reply.json
        self.tokens = ([] if batch["reset"] else self.tokens) + batch["tokens"]
        self._cursor, self.is_done = batch["cursor"], batch["done"]

    def read_until(self, count: int) -> None:
        """Read on until it has as many tokens, or all."""

        def has_enough() -> bool:
            if not self.is_done and len(self.tokens) < count:
                self.read()
            return self.is_done or len(self.tokens) >= count

        eventually(has_enough, within_s=60, what=f"{count} tokens have arrived")

    def assert_whole(self, count: int) -> None:
        """Every token once, in order, as the server has them."""
        self.read_until(count + 1)
        assert len(self.tokens) == count
        assert "".join(self.tokens).encode() == self._web.ask("GET", f"/v1/jobs/{self.job_id}/text").body
