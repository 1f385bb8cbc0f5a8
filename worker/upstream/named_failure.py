"""Named failures: what a provider refused, with its address, or with the variable that holds the refused key. Pure."""

import msgspec

from worker.chunk import MAX_MESSAGE, ProviderFailure
from worker.upstream.http_failure import KEY_REFUSED
from worker.upstream.provider import HttpProvider

_WHO = "The provider "


def with_address(failure: ProviderFailure, provider: HttpProvider) -> ProviderFailure:
    """The failure, its message completed by what an operator must know to mend it. Other failures stay as they are."""
    if not provider.address:
        return failure
    told, who = failure.failure, f"The provider at {provider.address} "
    if told.message.startswith(KEY_REFUSED):
        which = f"in {provider.key_source}" if provider.key_source else "that the worker uses"
        message = f"{who}refused the key {which}{told.message.removeprefix(KEY_REFUSED)}"
    elif told.provider_status not in {None, 200} and told.message.startswith(_WHO):
        message = who + told.message.removeprefix(_WHO)
    else:
        return failure
    told = msgspec.structs.replace(told, message=message[:MAX_MESSAGE])
    named = ProviderFailure(told, failure.retry_after_s, failure.words)
    named.request_id, named.is_final, named.ends_answer = failure.request_id, failure.is_final, failure.ends_answer
    return named
