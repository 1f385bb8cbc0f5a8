"""The model of a test: a provider for any model's name, with the answers that the test gave it."""

from collections import deque
from collections.abc import Generator

import gevent

from tokentail.jobs.job import FailureKind
from tokentail.jobs.models import ServedModel
from tokentail.jobs.request import GenerationRequest
from tokentail.testing.answer import Answer
from worker.chunk import Chunk, position_lost, provider_failure
from worker.dialects.script import ending, paced

_LOOK_AGAIN_S = 0.005  # at a held answer


class ScriptedModel:
    """Called in the worker's thread; its lists are filled and read by the test's."""

    name = "scripted"
    served = ServedModel("*", "scripted", "scripted")

    def __init__(self) -> None:
        self.in_order: deque[Answer] = deque()
        self.by_prompt: list[tuple[str, Answer]] = []
        self.requests: list[GenerationRequest] = []
        self._restarting: list[tuple[GenerationRequest, Answer]] = []

    def steps(self, request: GenerationRequest, model: str) -> Generator[tuple[float, list[Chunk]]]:
        """The answer's pieces. Raises ProviderFailure where the answer fails, or where no answer was given."""
        answer = self._restarted(request)
        restart = None
        if answer is None:
            answer = self._answer_to(request)
            restart = answer.restarts_after
        failure = position_lost() if restart is not None else answer.failure()
        stop = answer.chunks_before(answer.fails_after if restart is None else restart)
        hold = min(answer.chunks_before(answer.holds_after), stop)
        due_s = yield from paced(answer.chunks[:hold], answer.per_s)
        while answer.holds_after is not None and not answer.is_released:
            gevent.sleep(_LOOK_AGAIN_S)
        due_s = max(due_s, (yield from paced(answer.chunks[hold:stop], answer.per_s, hold)))
        if restart is not None:
            self._restarting.append((request, answer))
        if failure is not None:
            raise failure
        yield due_s, ending(answer.reason, request, len(answer.tokens))

    def _restarted(self, request: GenerationRequest) -> Answer | None:
        """The answer that was lost to this very request: the worker calls again with the same object."""
        for entry in self._restarting:
            if entry[0] is request:
                self._restarting.remove(entry)
                return entry[1]
        return None

    def _answer_to(self, request: GenerationRequest) -> Answer:
        self.requests.append(request)
        asked = request.turns()[-1].text
        for part, answer in self.by_prompt:
            if part in asked:
                return answer
        if self.in_order:
            return self.in_order.popleft()
        raise provider_failure(FailureKind.REJECTED, "The test gave no answer for this request.")
