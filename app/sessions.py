"""The sessions: a browser's cookie in place of its key, and links with which others may read one job."""

from collections.abc import Mapping
from urllib.parse import urlencode

from app.access import NO_KEY, SESSION_S, Access
from app.answer import Answer, json_answer
from app.bodies import moment
from app.reads import Reads
from tokentail.backend import now_ms

_SHARED_S = SESSION_S


class Sessions:
    """EventSource and WebSocket cannot send a bearer key; and nobody should put one into a link."""

    def __init__(self, access: Access, reads: Reads) -> None:
        self._access = access
        self._reads = reads

    def open(self, headers: Mapping[str, str]) -> Answer:
        """Trade a bearer key for the cookie of a session. Where no keys are configured, none is needed."""
        owner = self._access.owner_of_key(headers)
        if owner is None:
            return NO_KEY
        cookie = {"Set-Cookie": self._access.session_cookie(owner, headers)} if owner else {}
        return Answer(204, {"Cache-Control": "no-store", **cookie})

    def close(self, headers: Mapping[str, str]) -> Answer:
        """Have the browser forget its session."""
        cookie = self._access.session_cookie("", headers, is_over=True)
        return Answer(204, {"Cache-Control": "no-store", "Set-Cookie": cookie})

    def share(self, owner: str, job_id: str) -> Answer:
        """A token for reading this job, and a link to the page that shows it. Without keys a job's id is enough."""
        job = self._reads.job(owner, job_id)
        if not owner:
            return json_answer({"token": None, "expires_at": None, "link": f"/?{urlencode({'job': job.id})}"})
        token = self._access.seal.read_token(owner, job.id, _SHARED_S)
        link = f"/?{urlencode({'job': job.id, 'token': token})}"
        return json_answer({"token": token, "expires_at": moment(now_ms() + _SHARED_S * 1000), "link": link})
