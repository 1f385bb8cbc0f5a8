"""Sending: each call to a provider is sent in a greenlet of its own, which ends when the answer's head has come.

Until a greenlet ends, Python keeps all the memory that the deepest calls in it have needed. Connecting and reading a
head take calls four times as deep as reading the answer, for which the job's own greenlet waits long after.
"""

from collections.abc import Callable

import gevent

from worker.upstream.provider import HttpCall
from worker.upstream.seams import Answer, Transport


class SendingApart:
    """A transport whose `send` may be interrupted as if it were done in the calling greenlet."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def send(self, call: HttpCall) -> Answer:
        """Send the call; return as soon as status and headers are there. Raises ProviderFailure."""
        sending = gevent.spawn(_outcome, self._transport.send, call)
        try:
            outcome: Answer | Exception = sending.get()
        except BaseException:
            sending.rawlink(_close)  # at once, if it has ended
            sending.kill(block=False)
            raise
        if isinstance(outcome, Exception):
            try:
                raise outcome
            finally:
                del outcome  # its traceback leads back here: a circle that would keep what the job has in memory
        return outcome


def _outcome(send: Callable[[HttpCall], Answer], call: HttpCall) -> Answer | Exception:
    """The answer, or the error: gevent writes errors of greenlets, and with them whatever they quote, to stderr."""
    try:
        return send(call)
    except Exception as error:
        return error


def _close(sending: gevent.Greenlet) -> None:
    """Close the answer that nobody waits for any more, if there is one."""
    if not isinstance(sending.value, BaseException | None):
        sending.value.close()
