"""URLs of Redis: what each form says, and a sentence for each that says nothing."""

import pytest

from tokentail.config.address import Address
from tokentail.config.redis_url import RedisUrl
from tokentail.config.settings import load_settings
from tokentail.errors import SettingsError

SENTINELS = (Address("h1", 26379), Address("h2", 1), Address("::1", 26379), Address("::2", 2))


@pytest.mark.parametrize(
    "text", ["redis://h", "redis://u:p@h:1/3?protocol=3", "rediss://[::1]:1/", "unix:///run/valkey.sock?db=1"]
)
def test_the_url_of_one_server_is_left_as_it_is(text: str) -> None:
    """redis-py has its own options there."""
    assert RedisUrl.parse(text) == RedisUrl(text)


def test_sentinels_are_listed_with_the_name_of_their_primary() -> None:
    """The port is Sentinel's own unless one is written; the database is 0 unless one is written."""
    url = RedisUrl.parse("redis+sentinel://h1,h2:1,[::1],[::2]:2/my%20name")
    assert (url.name, url.sentinels) == ("my name", SENTINELS)
    assert url.server == "redis://@primary/0?"
    assert url.sentinel_urls == tuple(f"redis://:@{each}/?" for each in SENTINELS)
    assert str(url) == "my name (Sentinels h1:26379, h2:1, [::1]:26379, [::2]:2)"


def test_an_address_that_is_written_twice_is_one() -> None:
    """Half of the listed Sentinels could otherwise be one."""
    assert RedisUrl.parse("redis+sentinel://h1,h2,h1:26379/n").sentinels == (Address("h1", 26379), Address("h2", 26379))


def test_servers_and_sentinels_have_users_of_their_own() -> None:
    """What stands before the hosts is for the servers; nothing of it is sent to a Sentinel."""
    url = RedisUrl.parse("redis+sentinel://me:p%40w@h/name/2?sentinel_username=it&sentinel_password=%3Aq%2F&protocol=3")
    assert url.server == "redis://me:p%40w@primary/2?protocol=3"
    assert url.sentinel_urls == ("redis://it:%3Aq%2F@h:26379/?",)


def test_nodes_of_a_cluster_are_listed_and_share_a_user() -> None:
    """The nodes tell of others, whose URLs are made in the same way."""
    url = RedisUrl.parse("rediss+cluster://me:p%40w@h1,h2:1,[::1]/0?ssl_ca_certs=/ca.pem")
    assert url.nodes == (Address("h1", 6379), Address("h2", 1), Address("::1", 6379))
    assert url.url_of(Address("::2", 7)) == "rediss://me:p%40w@[::2]:7/0?ssl_ca_certs=/ca.pem"
    assert RedisUrl.parse("redis+cluster://h").url_of(Address("h", 6379)) == "redis://@h:6379/0?"
    assert "p%40w" not in repr(url)


@pytest.mark.parametrize(
    "settings",
    [
        {"REDIS_URL": "redis+cluster://h"},
        {"REDIS_URL": "redis+cluster://h", "TOKENTAIL_BUFFER_URL": "redis://h"},
        {"REDIS_URL": "redis://h", "TOKENTAIL_QUEUE_URL": "redis+cluster://h"},
    ],
)
def test_the_queue_cannot_be_on_a_cluster(settings: dict[str, str]) -> None:
    """A sentence says what to set, however the queue came to be there."""
    with pytest.raises(SettingsError, match="the queue cannot be in a Cluster: set TOKENTAIL_BUFFER_URL"):
        load_settings(settings)


def test_jobs_and_logs_may_be_on_a_cluster() -> None:
    """REDIS_URL may name it, too, where the queue has a URL of its own."""
    for name in ("TOKENTAIL_BUFFER_URL", "REDIS_URL"):
        load_settings({name: "redis+cluster://h", "TOKENTAIL_QUEUE_URL": "redis+sentinel://h/n"})


@pytest.mark.parametrize(
    ("text", "server", "sentinel"),
    [
        ("rediss+sentinel://h/n", "rediss", "rediss"),
        ("rediss+sentinel://h/n?sentinel_tls=no", "rediss", "redis"),
        ("redis+sentinel://h/n?sentinel_tls=yes", "redis", "rediss"),
    ],
)
def test_tls_is_for_both_kinds_of_server_or_for_one(text: str, server: str, sentinel: str) -> None:
    """The scheme is for both; sentinel_tls is another word on the Sentinels. Both check certificates alike."""
    url = RedisUrl.parse(f"{text}{'&' if '?' in text else '?'}ssl_ca_certs=/ca.pem")
    assert url.server == f"{server}://@primary/0?ssl_ca_certs=%2Fca.pem"
    about_tls = "ssl_ca_certs=%2Fca.pem" if sentinel == "rediss" else ""
    assert url.sentinel_urls == (f"{sentinel}://:@h:26379/?{about_tls}",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("http://hidden", "does not begin with redis://"),
        ("redis", "does not begin with redis://"),
        ("redis+sentinels://hidden/n", "does not begin with redis://"),
        ("redis://hidden:port", "no valid host and port"),
        ("redis://[::1", "no valid host and port"),
        ("redis://:hid/den@host:1", "no valid host and port"),
        ("redis://hidden1,hidden2/0", "several hosts"),
        ("redis://host/hidden", "a database that is not a number"),
        ("redis+sentinel:///n", "a Sentinel, number 1 of its list"),
        ("redis+sentinel://h,,hidden/n", "a Sentinel, number 2 of its list"),
        ("redis+sentinel://h,hidden:port/n", "a Sentinel, number 2 of its list"),
        ("redis+sentinel://h:0/n", "a Sentinel, number 1 of its list"),
        ("redis+sentinel://h:65536/n", "a Sentinel, number 1 of its list"),
        ("redis+sentinel://::1/n", "a Sentinel, number 1 of its list"),
        ("redis+sentinel://:hid/den@h/n", "cannot be read"),
        ("redis+sentinel://:hid#den@h/n", "cannot be read"),
        ("redis+sentinel://:hid[den@h/n", "no valid host and port"),
        ("redis+cluster://:hid[den@h", "no valid host and port"),
        ("redis+sentinel://h", "names no primary"),
        ("redis+sentinel://h/", "names no primary"),
        ("redis+sentinel://h1,h2/0", "names no primary before the database"),
        ("redis+sentinel://h/n/hidden", "a database that is not a number"),
        ("redis+sentinel://h/n/0/1", "a database that is not a number"),
        ("redis+sentinel://h/n?sentinel_pasword=hidden", "unknown parameter sentinel_pasword"),
        ("redis+sentinel://h/n?sentinel_tls=hidden", "neither yes nor no"),
        ("redis+cluster://", "a node, number 1 of its list"),
        ("redis+cluster://h,hidden:port", "a node, number 2 of its list"),
        ("redis+cluster://h/1", "only number 0"),
        ("redis+cluster://:hid/den@h", "cannot be read"),
        ("redis+cluster://h@hidden/@", "cannot be read"),
    ],
)
def test_a_bad_url_is_a_sentence_without_its_secrets(text: str, words: str) -> None:
    """A password with an unescaped character may be read as anything, so nothing of the text is repeated."""
    with pytest.raises(SettingsError) as refused:
        load_settings({"REDIS_URL": text})
    assert "REDIS_URL: " in str(refused.value)
    assert words in str(refused.value)
    assert "hid" not in str(refused.value)


def test_a_url_shows_no_password() -> None:
    """Tracebacks and logs may have the value."""
    url = RedisUrl.parse("redis+sentinel://me:hidden@h/n?sentinel_password=hidden")
    assert "hidden" not in f"{url!r} {url}"
