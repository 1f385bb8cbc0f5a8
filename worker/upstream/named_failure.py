"""Named failures: what a provider refused, with its address, or with the variable that holds the refused key. Pure."""

import msgspec

from worker.chunk import ProviderFailure
from worker.upstream.http_failure import KEY_REFUSED
from worker.upstream.provider import HttpProvider

_WHO = "The provider "


def with_address(failure: ProviderFailure, provider: HttpProvider) -> ProviderFailure:
    """The failure, its message completed by what an operator must know to mend it. Other failures stay as they are."""
    told, who = failure.failure, f"The provider at {provider.address} "
    if told.message.startswith(KEY_REFUSED):
        status = told.message.removeprefix(KEY_REFUSED)
        if provider.key_variable:
            message = f"{who}refused the key in {provider.key_variable}{status}"
        else:
            message = f"{who}wants a key, and its settings name none{status}"
    elif told.provider_status not in {None, 200} and told.message.startswith(_WHO):
        message = who + told.message.removeprefix(_WHO)
    else:
        return failure
    named = ProviderFailure(msgspec.structs.replace(told, message=message), failure.retry_after_s, failure.words)
    named.request_id, named.is_final, named.ends_answer = failure.request_id, failure.is_final, failure.ends_answer
    return named
