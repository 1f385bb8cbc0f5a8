"""The pace of a job's tokens: that of the last seconds, whatever came before."""

import pytest

from tokentail.log.pace import Pace, decode_pace, paced


def after(pace: Pace | None, *gaps_ms: int, tokens: int = 1) -> Pace | None:
    """The pace after appends of so many tokens, with these gaps before them."""
    for gap_ms in gaps_ms:
        pace = paced(pace, tokens, gap_ms)
    return pace


def per_token_ms(pace: Pace | None) -> float | None:
    return pace.per_token_ms if pace else None


def test_one_token_has_no_pace() -> None:
    """One token or none has no pace; the wait for the first token says nothing of those that follow."""
    assert after(None) is None
    assert paced(None, 0, 100) is None
    assert per_token_ms(after(None, 9000)) is None
    assert per_token_ms(after(None, 9000, 20)) == 20


def test_tokens_that_come_at_once_take_no_time() -> None:
    """A whole answer in one append."""
    assert per_token_ms(after(None, 0, tokens=1000)) == 0


@pytest.mark.parametrize("gap_ms", [1, 20, 100, 400])
def test_a_steady_pace_is_told_from_the_second_token_on(gap_ms: int) -> None:
    """After any number of tokens, and for bursts too, whether an append brings one or several."""
    for count in (1, 2, 10, 500):
        assert per_token_ms(after(None, 0, *[gap_ms] * count)) == pytest.approx(gap_ms)
    in_bursts = after(after(None, 0), *[gap_ms * 5] * 500, tokens=5)
    assert per_token_ms(in_bursts) == pytest.approx(gap_ms)


def test_a_pause_is_forgotten_within_a_second() -> None:
    """However long it was; a pause is no pace."""
    for pause_ms in (1000, 30_000, 10**9):
        paused = after(after(None, 0, *[20] * 500), pause_ms)
        assert per_token_ms(paused) == pytest.approx(20, rel=0.6)
        assert per_token_ms(after(paused, *[20] * 50)) == pytest.approx(20, rel=0.25)


def test_another_pace_is_told_within_some_seconds() -> None:
    """Five tokens a second after fifty, and the other way round."""
    assert per_token_ms(after(after(None, 0, *[20] * 500), *[200] * 30)) == pytest.approx(200, rel=0.15)
    assert per_token_ms(after(after(None, 0, *[200] * 50), *[20] * 150)) == pytest.approx(20, rel=0.3)


def test_clocks_that_disagree_do_no_harm() -> None:
    """Another worker's clock may be behind that of the one before it."""
    assert per_token_ms(after(after(None, 0, *[20] * 500), -60_000, *[20] * 50)) == pytest.approx(20, rel=0.1)


def test_a_pace_is_read_as_it_was_written() -> None:
    """As the script writes it; a record of before its first token has none."""
    assert decode_pace(b"") is None
    assert decode_pace(b"0 3") == Pace(0, 3)
    assert decode_pace(b"999.500 49.975") == Pace(999.5, 49.975)
