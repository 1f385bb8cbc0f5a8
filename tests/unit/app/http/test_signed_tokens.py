"""The signer: a process with the secret accepts a token until it expires; without the secret it shows nothing."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.http.signed_tokens import Signed, TokenSigner
from tokentail.config.key_ring import owner_name
from tokentail.config.settings import load_settings
from tokentail.errors import SettingsError

NOW = 1_800_000_000.0
OWNER = owner_name("key-one")


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


def signer(clock: Clock, **environment: str) -> TokenSigner:
    return TokenSigner(load_settings({"TOKENTAIL_API_KEYS": "key-one,key-two", **environment}), clock)


def test_what_was_sealed_is_recognized_until_its_time_is_over() -> None:
    """To the second."""
    clock = Clock()
    ours = signer(clock)
    session, token = ours.session(OWNER, 60), ours.read_token(OWNER, "job", 60)
    clock.now = NOW + 59
    assert ours.session_of(session) == Signed(ours.alias(OWNER), None, NOW + 60)
    assert ours.read_token_of(token) == Signed(ours.alias(OWNER), "job", NOW + 60)
    clock.now = NOW + 60
    assert ours.session_of(session) is None
    assert ours.read_token_of(token) is None


def test_sessions_and_tokens_are_not_each_other() -> None:
    """A read token is no session, nor a session a read token."""
    ours = signer(Clock())
    assert ours.session_of(ours.read_token(OWNER, "job", 60)) is None
    assert ours.read_token_of(ours.session(OWNER, 60)) is None


@given(st.text() | st.from_regex(r"[\w-]{0,40}\.[\w-]{0,40}", fullmatch=True))
def test_anything_else_is_nothing(sealed: str) -> None:
    """Whatever a client sends, it is recognized or it is not."""
    ours = signer(Clock())
    assert ours.session_of(sealed) is None
    assert ours.read_token_of(sealed) is None


def test_no_change_of_a_letter_goes_unnoticed() -> None:
    """Each letter is part of what is signed, or of the signature."""
    ours = signer(Clock())
    token = ours.read_token(OWNER, "job", 60)
    padding_bits = 1  # the last letter of base64 carries bits that nobody reads
    for at in range(len(token) - padding_bits):
        other = "A" if token[at] != "A" else "B"
        assert ours.read_token_of(token[:at] + other + token[at + 1 :]) is None


@pytest.mark.parametrize(
    "environment",
    [
        {"TOKENTAIL_API_KEYS": "key-one"},
        {"TOKENTAIL_API_KEYS": "key-two,key-one"},
        {"TOKENTAIL_SECRET": "x" * 32},
    ],
)
def test_another_secret_is_another_deployment(environment: dict[str, str]) -> None:
    """Without a secret, the keys are what it is made from."""
    token = signer(Clock()).read_token(OWNER, "job", 60)
    assert signer(Clock()).read_token_of(token)
    assert signer(Clock(), **environment).read_token_of(token) is None


def test_what_is_sealed_does_not_name_its_owner() -> None:
    """No token holds an owner's name, because that is a digest of the key, against which weak keys could be tried."""
    ours = signer(Clock())
    for sealed in (ours.session(OWNER, 60), ours.read_token(OWNER, "job", 60)):
        payload = sealed.partition(".")[0]
        readable = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
        assert ours.alias(OWNER) in readable
        assert OWNER not in readable
        assert "key-one" not in readable
    assert signer(Clock(), TOKENTAIL_SECRET="y" * 32).alias(OWNER) != ours.alias(OWNER)


def test_a_short_secret_is_a_fault() -> None:
    """What is signed is public, so a secret that can be guessed is none."""
    with pytest.raises(SettingsError, match="TOKENTAIL_SECRET: is shorter than 32 characters"):
        load_settings({"TOKENTAIL_SECRET": "x" * 31})
    secret = "x" * 32
    settings = load_settings({"TOKENTAIL_SECRET": secret})
    assert secret not in repr(settings)
    assert ("TOKENTAIL_SECRET", "(set)") in {(name, shown) for name, shown, _ in settings.describe()}
