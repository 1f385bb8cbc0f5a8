"""Clients: what of a URL only redis-py knows, and is found before anything connects."""

import pytest

from tokentail.errors import SettingsError
from tokentail.redis.client import connect


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("redis://host/0?pasword=hidden", "pasword"),
        ("redis://host/0?socket_keepalive=1&db=hidden", "db"),
        ("unix:///run/redis.sock?ssl_ca_certs=hidden", "ssl_ca_certs"),
        ("rediss://host?ssl_cert_reqs=hidden", "ssl_cert_reqs"),
        ("redis+sentinel://host/name?pasword=hidden", "pasword"),
    ],
)
def test_a_parameter_that_is_not_known_is_a_fault_of_the_settings(url: str, name: str) -> None:
    """The message has the name, so that it is found; the value may be a secret."""
    with pytest.raises(SettingsError) as refused:
        connect(url, timeout_s=1)
    assert "parameter" in str(refused.value)
    assert "hidden" not in str(refused.value)
    if name != "ssl_cert_reqs":  # redis-py says only that a flag is invalid
        assert f"the parameter {name} after ?" in str(refused.value)
