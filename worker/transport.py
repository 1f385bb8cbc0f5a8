"""The transport: calls to providers over HTTP. The only file of the worker that imports requests."""

from tokentail.settings import Settings
from worker.providers.provider import HttpCall
from worker.providers.source import Answer


class HttpTransport:
    """One pool of connections, for all jobs of the process."""

    def post(self, call: HttpCall) -> Answer:
        raise NotImplementedError


def open_transport(settings: Settings) -> HttpTransport:
    """The transport of this process."""
    raise NotImplementedError
