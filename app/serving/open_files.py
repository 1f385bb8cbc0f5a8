"""The open files: how many connections the system lets this process hold."""

import resource

_OTHERS = 128  # what the process has open besides: Redis, logs, libraries


def connections_within_limit(most: int) -> int:
    """At most `most`, after the process has been given all that it may have; at least 1."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # The usual soft limit, 1024, is for programs that call select().
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return most if hard == resource.RLIM_INFINITY else max(min(most, hard - _OTHERS), 1)
