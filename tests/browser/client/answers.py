"""Many jobs that a page reads all at once."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page

from tests.browser.client.conftest import Reader
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tests.waiting import eventually
from tokentail.log.writer import LogWriter

SHARED, ALONE = ["long", "many answers share a poll"], ["sse", "a connection is free"]
SEATLESS = ["short", "other tabs hold the connections"]


class Answers:
    """Jobs that a page reads all at once, and the text that it must show of each."""

    def __init__(self, worker: ScriptedWorker, reader: Reader, count: int) -> None:
        self._worker = worker
        self._page: Page = reader.page
        self.asked: list[str] = []  # the addresses that the page has requested
        self.answered: list[str] = []  # those of them that were answered or given up
        self._page.on("request", lambda request: self.asked.append(request.url))
        for event in ("requestfinished", "requestfailed"):
            self._page.on(event, lambda request: self.answered.append(request.url))
        self.writers: dict[str, LogWriter] = {}
        for _ in range(count):
            job_id = worker.submit()
            self.writers[job_id] = worker.take(job_id)
        self.jobs = list(self.writers)
        self.texts = dict.fromkeys(self.jobs, "")

    def read(self, jobs: list[str] | None = None, client: str = "tokentail", **options: Any) -> None:
        given = [jobs or self.jobs, options]
        self._page.evaluate(f"([jobs, options]) => {{ readMany(jobs, options, {client}) }}", given)

    @property
    def queries(self) -> list[dict[str, list[str]]]:
        """The query of each request for many jobs that the page has made."""
        return [parse_qs(urlsplit(url).query) for url in self.asked if "/v1/poll?" in url]

    @property
    def polls(self) -> list[set[str]]:
        """The jobs of each request for many jobs that the page has made."""
        return [{job.partition(":")[0] for job in query["job"]} for query in self.queries]

    def wait(self, seconds: str, *jobs: str) -> None:
        """Wait until a request for these jobs, or for all, waits, and may wait so long."""
        wanted = set(jobs or self.jobs)

        def is_so() -> object:
            is_for_them = self.seen("text") and self.polls[-1:] == [wanted] and self.asked[-1] not in self.answered
            return is_for_them and self.queries[-1]["wait"] == [seconds]

        eventually(is_so, within_s=15, what=f"the last poll waits for {seconds} s")

    def share(self, *jobs: str) -> None:
        """Wait until one request has been for these jobs, or for all."""
        wanted = set(jobs or self.jobs)
        eventually(lambda: self.seen("done") and wanted in self.polls, within_s=15, what="one poll has all jobs")

    def say(self, job_id: str, token: str) -> None:
        self._worker.say(self.writers[job_id], token)
        self.texts[job_id] += token

    def seen(self, name: str) -> dict[str, Any]:
        """What the page has of each job, under one name."""
        many: dict[str, dict[str, Any]] = self._page.evaluate("many")
        return {job_id: one[name] for job_id, one in many.items()}

    def heard(self, *jobs: str) -> None:
        """Wait until the page shows exactly the text so far, of these jobs or of all."""
        wanted = {job_id: self.texts[job_id] for job_id in jobs or self.jobs}
        what = f"the page shows {wanted}"
        eventually(lambda: wanted.items() <= self.seen("text").items(), within_s=15, what=what)

    def speak(self, rounds: int = 3) -> None:
        """Each job says some words, one after the other; the page must show them."""
        for number in range(rounds):
            for job_id in self.jobs:
                if job_id in self.writers:
                    self.say(job_id, f" w{number}é")
        self.heard()

    def end(self, *jobs: str) -> None:
        for job_id in jobs:
            self._worker.say(self.writers.pop(job_id), COMPLETED)
        eventually(lambda: all(self.seen("done")[job_id] for job_id in jobs), within_s=15, what="their ends are read")

    def are(self, transport: str, *jobs: str) -> None:
        """Wait until these jobs, or all, are read by this transport: each says a word."""
        for job_id in jobs or self.jobs:
            self.say(job_id, " by")
        self.heard(*jobs)
        assert {self.seen("transport")[job_id] for job_id in jobs or self.jobs} == {transport}
