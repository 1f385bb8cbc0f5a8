"""For tests of programs that use Tokentail: a server in the test's own process with scripted answers.

It needs no Valkey, no model and no network beyond loopback; it needs the extra `tokentail-server[testing]`.
docs/python.md describes it. This package alone may import `app` and `worker`; the rest of Tokentail never imports it.
"""

try:
    from tokentail.log.element import ToolCall
    from tokentail.testing.answer import Answer
    from tokentail.testing.fixture import tokentail_server
    from tokentail.testing.server import TokentailServer
except ModuleNotFoundError as error:
    remedy = "pip install 'tokentail-server[testing]'"
    raise ImportError(f"tokentail.testing needs {error.name}, which is not installed: {remedy}") from error

__all__ = ["Answer", "TokentailServer", "ToolCall", "tokentail_server"]
