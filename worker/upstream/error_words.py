"""Error words: what the codes and the plain words of providers' errors mean, in one table for all dialects. Pure.

Codes and words are read alike: `BadRequestError`, `bad_request` and "bad request" are one word. The first row that is
found in them holds, so the rows go from what no further call can change to what may pass by itself.
"""

import re
from typing import NamedTuple

from tokentail.jobs.job import FailureKind
from worker.upstream.http_failure import status_kind


class Meaning(NamedTuple):
    """What an error is, whether to try again, and whether it is about the key, of which providers quote a part."""

    kind: FailureKind
    is_retryable: bool = False
    is_about_key: bool = False


DEFAULT = Meaning(FailureKind.UNAVAILABLE, True)  # of an error of which nothing is known
_CONTEXT = (
    r"context_(?:length|window|size|limit|too|is|overflow)|exceeds?_(?:the_)?(?:maximum_|available_|max_)*context"
    r"|(?<!took_)(?<!taking_)(?<!waited_)too_long|too_many_(?:input|prompt|total)_tokens|token_limit_exceeded"
    r"|reduce_the_length|(?:request|prompt|input|payload|body|entity)_(?:is_)?too_large|above_max_length"
)
_PAYMENT = (
    r"current_quota|insufficient_quota|quota_(?:is_|has_been_)?(?:exceeded|exhausted)|exceeded_(?:your_)?quota"
    r"|spend(?:ing)?_limit|billing|payment|insufficient_(?:balance|credit|fund)|credits?_(?:exhausted|depleted)"
    r"|(?:balance|credits?)_(?:is_|are_)?(?:too_low|not_enough|insufficient)|out_of_credits?|arrear|overdue|hard_limit"
)
_POLICY = (
    r"content_(?:filter|polic|moderation|blocked)|polic(?:y|ies)_violation|violat\w{0,60}_polic|_policy$|usage_polic"
    r"|data_inspection|jailbreak|prohibited_content|invalid_prompt|responsible_ai|sensitive_(?:content|word)"
    r"|blocked_by_(?:our_)?(?:safety|moderation|polic)|moderation_blocked|flagged_(?:by|as|for)"
)
_KEY = (
    r"api_?key|unauthori[sz]ed|unauthenticated|authentication|invalid_(?:auth|credential|token)|incorrect_credentials"
    r"|expired_token|access_token"
)
_RATE = (
    r"rate_?limit|too_many_requests|resource_?exhausted|throttl|(?:requests?|tokens)_per_(?:second|minute|min|hour|day)"
)
_BUSY = (
    r"overload|(?:^|_)busy|slow_down|over_capacity|at_capacity|capacity_exceeded|no_capacity|insufficient_system_resource"
    r"|^unavailable$|(?:service|server|model|temporarily|currently)_(?:is_)?(?:temporarily_|currently_)?unavailable"
    r"|try_again|not_ready|(?:being|is|still)_load(?:ed|ing)"
)
_LATE = r"time_?out|timed_out|deadline|took_too_long|taking_too_long|waited_too_long"
_BROKEN = (
    r"internal|gateway|upstream|connect|reset|network|crash|server_error|unexpected_eof|unreachable|abort|cancell?ed"
    r"|out_of_memory|cuda|runner"
)
_REFUSED = (
    r"not_found|no_such|does_not_exist|unsupported|not_support|bad_request|unprocessable|validation|unrecognized"
    r"|invalid_(?!character|response|utf)|unknown_(?:model|parameter|argument|field|tool)|required|must_be"
    r"|unexpected_(?:key|parameter|argument|field)|missing|permission|forbidden|access_denied|not_allowed|not_permitted"
    r"|failed_precondition|out_of_range|unimplemented|not_implemented|not_available_in|illegal|residency"
    r"|image_(?:too|parse|file)|_image$|_image_file$|too_large"
)
_ROWS: tuple[tuple[re.Pattern[str], Meaning], ...] = tuple(
    (re.compile(pattern), meaning)
    for pattern, meaning in (
        (
            r"(?:requests?|tokens|quota)\w{0,40}_per_(?:second|minute|min)(?:_|$)",
            Meaning(FailureKind.RATE_LIMITED, True),
        ),
        (_CONTEXT, Meaning(FailureKind.REJECTED)),
        (_PAYMENT, Meaning(FailureKind.RATE_LIMITED)),  # waiting does not help: somebody has to pay
        (_POLICY, Meaning(FailureKind.CONTENT_FILTERED)),
        (_KEY, Meaning(FailureKind.REJECTED, is_about_key=True)),
        (_RATE, Meaning(FailureKind.RATE_LIMITED, True)),
        (_BUSY, Meaning(FailureKind.OVERLOADED, True)),
        (_LATE, Meaning(FailureKind.TIMEOUT, True)),
    )
)
_LAST_ROWS: tuple[tuple[re.Pattern[str], Meaning], ...] = (
    (re.compile(_BROKEN), Meaning(FailureKind.UNAVAILABLE, True)),
    (re.compile(_REFUSED), Meaning(FailureKind.REJECTED)),
)
# Zhipu's GLM has numbers of its own, some of which are more exact than their words.
_NUMBERS = {
    "1113": Meaning(FailureKind.RATE_LIMITED),
    "1261": Meaning(FailureKind.REJECTED),
    "1301": Meaning(FailureKind.CONTENT_FILTERED),
}
_STATUS = re.compile(r"(?:^|(?:status|code|http|error)_{0,2}(?:code_)?)([45]\d\d)(?:_|$)", re.ASCII)
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
_BETWEEN = re.compile(r"[^0-9a-z]+")
_MOST = 1000  # characters that are looked at


def meaning_of(said: str) -> Meaning | None:
    """What a code or words mean, or a status that they name; None where nothing in them is known."""
    words = _BETWEEN.sub("_", _HUMP.sub("_", said[:_MOST]).lower()).strip("_")
    if words in _NUMBERS:
        return _NUMBERS[words]
    for pattern, meaning in _ROWS:
        if pattern.search(words):
            return meaning
    if found := _STATUS.search(words):
        return status_meaning(int(found[1]))
    return next((meaning for pattern, meaning in _LAST_ROWS if pattern.search(words)), None)


def status_meaning(status: int) -> Meaning:
    """What an HTTP status means, or a code that is one."""
    return Meaning(*status_kind(status), is_about_key=status in {401, 403})
