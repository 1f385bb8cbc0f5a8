"""The plane: serves the routes whose handlers wait, by coroutines on the event loop. Flask's threads serve the others.

Both call the same handlers, so a request has one meaning.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

from app.http.access import Caller
from app.http.request import Request
from app.http.response import Response, problem_of
from app.http.router import Handler, Kind, Route
from app.reading.hub import Hub
from app.reading.steps import ClientLeft, Cut, Head, PassOn, RunBlocking, Send, Stream, Wait
from app.serving.flask_app import fault
from app.serving.request_context import OnAnswer, RequestContext
from app.serving.sockets import Sockets
from app.wiring import Calls
from tokentail.errors import TokentailError

Serve = Callable[[Mapping[str, str], RequestContext, bytes], Awaitable[None]]  # by the path's parameters


class Plane:
    """The coroutines' part of the interface."""

    def __init__(self, calls: Calls, hub: Hub, on_answer: OnAnswer | None = None) -> None:
        self._router = calls.router
        self._shares = calls.shares
        self._hub = hub
        self.sockets = Sockets(calls, hub, self.revoked, on_answer)
        serve_by_kind = {Kind.PLAIN: self._plain, Kind.STEPS: self._steps, Kind.STREAM: self._stream}
        self._serve: dict[Route | None, Serve] = {
            route: partial(serve_by_kind[route.kind], calls.handlers[route.name])
            for route in calls.router.routes
            if route.kind in serve_by_kind
        }

    async def revoked(self, caller: Caller) -> Response | None:
        """The response to a caller whose read token was revoked, or if that cannot be found out; None for others."""
        if caller.only_job is None:
            return None
        try:
            refusal: Response | None = await self._hub.run_blocking(lambda: self._shares.refusal(caller))
        except TokentailError as error:
            return problem_of(error) or fault(error)
        return refusal

    def find(self, method: str, path: str) -> Callable[[RequestContext, bytes], Awaitable[None]] | None:
        """The coroutine that serves this request; None when Flask does."""
        found = self._router.find(path)
        if found is None or (serve := self._serve.get(found.route(method))) is None:
            return None
        return partial(serve, found.parameters)

    async def _plain(
        self, handler: Handler, parameters: Mapping[str, str], context: RequestContext, body: bytes
    ) -> None:
        await context.answer(handler(_request(parameters, context, body)))

    async def _steps(
        self, handler: Handler, parameters: Mapping[str, str], context: RequestContext, body: bytes
    ) -> None:
        steps = handler(_request(parameters, context, body))
        await context.answer(await self._hub.drive(steps, context))

    async def _stream(
        self, handler: Handler, parameters: Mapping[str, str], context: RequestContext, body: bytes
    ) -> None:
        await _send_stream(self._hub, handler(_request(parameters, context, body)), context)


async def _send_stream(hub: Hub, steps: Stream, context: RequestContext) -> None:
    """Send what these steps send. Raises what they raise before they have sent anything, and ClientLeft."""
    try:
        await _send_steps(hub, steps, context)
    except ClientLeft as left:
        if not context.is_begun:
            await _tell(hub, steps, left)
        raise
    except TokentailError:
        if not context.is_begun:
            raise
        # The client reconnects with its last cursor; it then receives the error, or the rest of the log.
    if not context.is_ended:
        await context.end()


async def _send_steps(hub: Hub, steps: Stream, context: RequestContext) -> None:
    send: Any = steps.send
    answer: Any = None
    has_place = False
    with ExitStack() as held, suppress(StopIteration):
        while True:
            step = send(answer)
            send, answer = steps.send, None
            if context.has_left and isinstance(step, Head | Send):  # what was sent before may have arrived whole
                raise ClientLeft(ClientLeft.__doc__)
            if isinstance(step, Head):
                has_place = not step.is_whole and held.enter_context(hub.place(context.caller.owner))
                await context.begin(step)
                if context.scope["method"] == "HEAD":
                    break
            elif isinstance(step, Send):
                await context.send_part(step.content)
            elif isinstance(step, Cut):
                context.cut()
                break
            else:
                if isinstance(step, Wait | PassOn) and step.is_patient:
                    context.is_to_stay()
                try:
                    if not isinstance(step, PassOn):
                        answer = await hub.take(step, context, has_place=has_place)
                    elif has_place:
                        answer = await hub.pass_on(step, context, context)
                    else:
                        answer = step.untaken
                except TokentailError as error:
                    send, answer = steps.throw, error


async def _tell(hub: Hub, steps: Stream, left: ClientLeft) -> None:
    """Have the steps do what is to be done when the client has left before it received anything."""
    with suppress(ClientLeft, StopIteration):
        step = steps.throw(left)
        while isinstance(step, RunBlocking):
            step = steps.send(await hub.run_blocking(step.function))


def _request(parameters: Mapping[str, str], context: RequestContext, body: bytes) -> Request:
    method, query_string = context.scope["method"], context.scope["query_string"].decode("latin-1")
    caller = context.caller
    whose = caller.role, caller.user, caller.is_guest
    return Request(method, caller.owner, parameters, query_string, context.headers, body, *whose)
