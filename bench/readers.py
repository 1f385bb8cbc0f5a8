"""The readers: programs and pages that poll a server with keys, and the headers and queries that each of them sends."""

import json
from dataclasses import dataclass
from email.message import Message

from bench.http_connection import ask

_KEY = "bench-key"
_ORIGIN = "https://page.example"

SETTINGS = {
    "TOKENTAIL_API_KEYS": _KEY,
    "TOKENTAIL_CORS_ORIGINS": _ORIGIN,
    "TOKENTAIL_MAX_KEY_WAITS": "20000",  # all readers have one key
}
AUTHORIZATION = f"Authorization: Bearer {_KEY}"

KEY, PAGE, OTHER_ORIGIN, SHARE_LINK = "bearer key", "page with a cookie", "page of another origin", "share link"
READERS = (KEY, PAGE, OTHER_ORIGIN, SHARE_LINK)

# As Chromium sends them with fetch().
_CHROMIUM = (
    "Connection: keep-alive",
    'sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24"',
    "sec-ch-ua-mobile: ?0",
    'sec-ch-ua-platform: "Linux"',
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    "Accept: */*",
    "Sec-Fetch-Mode: cors",
    "Sec-Fetch-Dest: empty",
    "Accept-Encoding: gzip, deflate, br, zstd",
    "Accept-Language: en-US,en;q=0.9",
)


@dataclass(frozen=True)
class Reader:
    """What one reader sends with each poll."""

    headers: tuple[str, ...]  # lines
    query: str = ""  # behind the cursor


NO_KEY = Reader(())  # of a server without keys


def reader_named(name: str, port: int, job_path: str) -> Reader:
    """One of READERS, of this job of a server with SETTINGS. Raises RuntimeError when the server refuses."""
    if name == KEY:
        return Reader((AUTHORIZATION,))
    if name == OTHER_ORIGIN:
        return Reader((AUTHORIZATION, f"Origin: {_ORIGIN}", "Sec-Fetch-Site: cross-site", *_CHROMIUM))
    of_page = ("Sec-Fetch-Site: same-origin", *_CHROMIUM)
    if name == PAGE:
        cookie = _post(port, "/v1/session")[0]["Set-Cookie"]
        return Reader((f"Cookie: {cookie.partition(';')[0]}", *of_page))
    shared = json.loads(_post(port, f"{job_path}/share")[1])
    return Reader(of_page, f"&token={shared['token']}")


def _post(port: int, path: str) -> tuple[Message, bytes]:
    field, _, key = AUTHORIZATION.partition(": ")
    return ask(port, "POST", path, headers={field: key})
