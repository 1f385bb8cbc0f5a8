"""Addresses: written as operators write them, and refused with a reason."""

import socket

import pytest

from tokentail.config.address import Address, address_of


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:9100", Address("127.0.0.1", 9100)),
        ("[::1]:9100", Address("::1", 9100)),
        ("metrics.internal:0", Address("metrics.internal", 0)),
    ],
)
def test_an_address_reads_as_it_is_written(text: str, address: Address) -> None:
    """An address is written as it was read."""
    assert Address.parse(text) == address
    assert str(address) == text


@pytest.mark.parametrize("text", ["9100", ":9100", "::1:9100", "host", "host:", "host:port", "http://host:1", "a:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    """A port alone, too: whether it is open to the network should stand there."""
    with pytest.raises(ValueError, match=r"is not an address like 127\.0\.0\.1:9100"):
        Address.parse(text)


def test_a_port_that_there_is_not_is_refused() -> None:
    """A port out of range can neither be written nor be reached by counting up."""
    with pytest.raises(ValueError, match="above 65535"):
        Address.parse("a:65536")
    assert Address("a", 65534).plus(1) == Address("a", 65535)
    with pytest.raises(ValueError, match="65536"):
        Address("a", 65534).plus(2)


def test_any_free_port_stays_any() -> None:
    """The next ones of a port that nobody knows are no address."""
    assert Address("a", 0).plus(3) == Address("a", 0)


def test_where_it_listens_is_told() -> None:
    """Port 0 becomes a real one."""
    with Address("127.0.0.1", 0).listen() as listener:
        where = address_of(listener)
        assert where.host == "127.0.0.1"
        assert where.port > 0
        with pytest.raises(OSError, match="in use"):
            where.listen()


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="This system has no sockets for IPv4 and IPv6.")
def test_the_address_for_every_address_takes_ipv4_too() -> None:
    """A server on `::` is reached at 127.0.0.1, which `tokentail up` prints; one on `::1` is not."""
    with Address("::", 0).listen() as listener:
        port = address_of(listener).port
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()
    with Address("::1", 0).listen() as listener, pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", address_of(listener).port), timeout=5)
