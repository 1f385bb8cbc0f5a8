"""What one version's web process gives out is tried with the other's: sessions, links, cursors, keys of submissions."""

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import requests

from tests.acceptance.chaos.violation import Violation
from tests.waiting import eventually

if TYPE_CHECKING:
    from tests.rolling_versions import Site

_KEY = "key-of-one"
_USER = "ann"


class Web:
    """One web process with keys, as its clients call it."""

    def __init__(self, version: str, port: int) -> None:
        self.version = version
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, method: str, path: str, *statuses: int, key: str = _KEY, **options: Any) -> requests.Response:
        """The response. Raises Violation where its status is none of these; without any, 200 is meant."""
        headers = ({"Authorization": f"Bearer {key}"} if key else {}) | options.pop("headers", {})
        answer = requests.request(method, self.url + path, headers=headers, timeout=30, **options)
        if answer.status_code not in (statuses or (200,)):
            raise Violation(f"{self.version}: {method} {path} was answered {answer.status_code}: {answer.text[:300]}")
        return answer

    def submitted(self, prompt: str, **headers: str) -> str:
        body = {"prompt": prompt, "model": "openai/m", "user": _USER}
        return str(self.ask("POST", "/v1/jobs", 202, json=body, headers=headers).json()["id"])


async def cross(site: "Site", before: str, after: str) -> None:
    """Try it both ways, with a web process of each version beside those that run. Raises Violation."""
    webs = []
    programs = [site.program("app", version, TOKENTAIL_API_KEYS=f"{_KEY},another") for version in (before, after)]
    with ExitStack() as running:
        for (program, port), version in zip(programs, (before, after), strict=True):
            program.start()
            running.callback(program.kill)
            await site.answers(port)
            webs.append(Web(version, port))
        for number, (giver, taker) in enumerate((webs, webs[::-1])):
            await asyncio.to_thread(_crossed, giver, taker, 2_000_000 + 100 * number)
            print(f"given by {giver.version}, taken by {taker.version}: all understood", flush=True)


def _crossed(giver: Web, taker: Web, marker: int) -> None:
    for each in (_keys_of_submissions, _positions, _sessions, _links, _pages, _ends, _responses):
        each(giver, taker, marker := marker + 10)


def _require(is_so: bool, what: str, giver: Web, taker: Web) -> None:
    if not is_so:
        raise Violation(f"{what}: given by {giver.version}, taken by {taker.version}")


def _keys_of_submissions(giver: Web, taker: Web, marker: int) -> None:
    prompt, key = f"{marker} 5 20", {"Idempotency-Key": f"crossing-{marker}"}
    job_id = giver.submitted(prompt, **key)
    _require(taker.submitted(prompt, **key) == job_id, "a repeat made another job", giver, taker)


def _positions(giver: Web, taker: Web, marker: int) -> None:
    job_id = giver.submitted(f"{marker} 40 20")
    path = f"/v1/jobs/{job_id}"
    first = giver.ask("GET", f"{path}/tokens?wait=20&limit=5").json()
    tokens, cursor, is_done = first["tokens"], first["cursor"], first["done"]
    while not is_done:
        more = taker.ask("GET", f"{path}/tokens?wait=20&cursor={cursor}").json()
        _require(not more["reset"], "a cursor was lost", giver, taker)
        tokens, cursor, is_done = tokens + more["tokens"], more["cursor"], more["done"]
    text = giver.ask("GET", f"{path}/text")
    _require("".join(tokens) == text.text and len(tokens) == 40, "the halves are not the whole", giver, taker)
    taker.ask("GET", f"{path}/text", 304, headers={"If-None-Match": text.headers["ETag"]})
    taker.ask("GET", f"{path}/stream", 204, headers={"Last-Event-ID": cursor})


def _sessions(giver: Web, taker: Web, marker: int) -> None:
    job_id = giver.submitted(f"{marker} 5 20")
    token = giver.ask("POST", "/v1/session", json={"user": _USER}).json()["token"]
    taker.ask("GET", f"/v1/jobs/{job_id}", key=token)
    cookie = giver.ask("POST", "/v1/session", 200, 204).headers["Set-Cookie"].partition(";")[0]
    taker.ask("GET", f"/v1/jobs/{job_id}", key="", headers={"Cookie": cookie})


def _links(giver: Web, taker: Web, marker: int) -> None:
    path = f"/v1/jobs/{giver.submitted(f'{marker} 5 20')}"
    token = giver.ask("POST", f"{path}/share").json()["token"]
    taker.ask("GET", f"{path}?token={token}", key="")
    taker.ask("DELETE", f"{path}/share", 200, 204)
    eventually(
        lambda: bool(giver.ask("GET", f"{path}?token={token}", 200, 401, key="").status_code == 401), within_s=10
    )


def _pages(giver: Web, taker: Web, _marker: int) -> None:
    page = giver.ask("GET", "/v1/jobs?limit=1").json()
    others = taker.ask("GET", page["next"]).json()
    seen = {job["id"] for job in page["jobs"]} & {job["id"] for job in others["jobs"]}
    _require(bool(others["jobs"]) and not seen, "a page was repeated", giver, taker)


def _ends(giver: Web, taker: Web, marker: int) -> None:
    job_id = giver.submitted(f"{marker} 400 50")
    eventually(lambda: giver.ask("GET", f"/v1/jobs/{job_id}/tokens").json()["tokens"] != [], within_s=10)
    taker.ask("POST", f"/v1/jobs/{job_id}/cancel")
    end = giver.ask("GET", f"/v1/jobs/{job_id}/tokens?wait=10&limit=10000").json()
    _require(end["done"] and end["status"] == "cancelled", "a cancel was not seen", giver, taker)
    taker.ask("DELETE", f"/v1/jobs/{job_id}", 204)
    eventually(lambda: giver.ask("GET", f"/v1/jobs/{job_id}", 200, 410).status_code == 410, within_s=10)


def _responses(giver: Web, taker: Web, marker: int) -> None:
    asked = {"model": "openai/m", "input": f"{marker} 5 20", "background": True, "store": True}
    made = giver.ask("POST", "/openai/v1/responses", json=asked).json()
    path = f"/openai/v1/responses/{made['id']}"
    eventually(lambda: taker.ask("GET", path).json()["status"] == "completed", within_s=20, what="it completes")
    _require(len(taker.ask("GET", path).json()["output"]) == 1, "an answer was not whole", giver, taker)
