"""The sessions: a browser's cookie in place of its key, and links with which others may read one job."""

from urllib.parse import urlencode

from app.calls.jobs import JobViews
from app.http.access import NO_KEY, Access
from app.http.bodies import moment
from app.http.request import Request
from app.http.response import Response, json_response
from app.http.router import Handler
from app.http.session_request import parse_session
from app.http.share_request import parse_share
from tokentail.errors import JobNotFound
from tokentail.redis.backend import now_ms
from tokentail.redis.store import Store


class Sessions:
    """Handlers of sessions and shares: EventSource and WebSocket cannot send a key, and a link must not contain one."""

    def __init__(self, access: Access, views: JobViews, store: Store) -> None:
        self._access = access
        self._reads = views
        self._store = store

    def handlers(self) -> dict[str, Handler]:
        """The handlers by the names of their routes."""
        return {
            "openSession": self.open,
            "closeSession": self.close,
            "shareJob": self.share,
            "revokeShares": self.revoke,
        }

    def open(self, request: Request) -> Response:
        """Exchange a bearer key for a session's cookie. Where no keys are configured, no key is needed.

        A session of one user is also given as a token, which the application hands on to that user's program.
        """
        owner = self._access.owner_of_key(request.headers)
        if owner is None:
            return NO_KEY
        asked = parse_session(request.body)
        session = self._access.signer.session(owner, asked.expires_in_s, asked.user or "") if owner else ""
        cookie = self._access.session_cookie(session, asked.expires_in_s, request.headers)
        headers = {"Cache-Control": "no-store", **({"Set-Cookie": cookie} if owner else {})}
        if not asked.user:
            return Response(204, headers)
        ends_at = moment(now_ms() + asked.expires_in_s * 1000) if owner else None
        return json_response({"token": session or None, "expires_at": ends_at}, headers=headers)

    def close(self, request: Request) -> Response:
        """Remove the session's cookie from the browser."""
        cookie = self._access.session_cookie("", 0, request.headers)
        return Response(204, {"Cache-Control": "no-store", "Set-Cookie": cookie})

    def share(self, request: Request) -> Response:
        """A token for reading this job, and a link to the page that shows it. Without keys a job's id is enough."""
        owner, life_s = request.owner, parse_share(request.body).expires_in_s
        job = self._reads.job(owner, request.job_id)
        if not owner:
            return json_response({"token": None, "expires_at": None, "link": f"/?{urlencode({'job': job.id})}"})
        token = self._access.signer.read_token(owner, job.id, life_s, job.shares)
        link = f"/?{urlencode({'job': job.id, 'token': token})}"
        return json_response({"token": token, "expires_at": moment(now_ms() + life_s * 1000), "link": link})

    def revoke(self, request: Request) -> Response:
        """Refuse all links to this job that were made so far."""
        job = self._reads.job(request.owner, request.job_id)
        if not self._store.revoke(job.id):
            raise JobNotFound(JobNotFound.__doc__)
        return Response(204)
