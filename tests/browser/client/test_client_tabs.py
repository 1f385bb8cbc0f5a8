"""tokentail.js in Chromium: all tabs of a browser together leave room for other requests."""

from collections.abc import Callable

from tests.browser.client.answers import ALONE, SEATLESS, Answers
from tests.browser.client.conftest import Reader
from tests.browser.harness import BrowserHarness
from tests.scripted_worker import ScriptedWorker
from tests.waiting import eventually
from tokentail.redis.client import RedisClient


def test_seven_tabs_leave_room_for_an_eighth_request(
    straight_harness: BrowserHarness, open_reader: Callable[[str], Reader], worker: ScriptedWorker
) -> None:
    """All tabs hold four connections open together; the other tabs poll briefly until one of the four is free."""
    tabs = []
    for _ in range(7):
        reader = open_reader(straight_harness.url)
        reader.connect()
        tabs.append((reader, Answers(worker, reader, 1)))
    for _, answers in tabs:
        answers.read()
    asked = "fetch('/healthz', { signal: AbortSignal.timeout(10000) }).then(({ ok }) => ok)"
    assert all(reader.page.evaluate(asked) for reader, _ in tabs)

    def polling() -> list[Answers]:
        return [answers for _, answers in tabs if list(answers.seen("moves").values()) == [[SEATLESS]]]

    eventually(lambda: len(polling()) == 3, within_s=15, what="three tabs know that they have no connection")
    without = polling()
    for _, answers in tabs:
        answers.are("short" if answers in without else "sse")
    for reader, answers in tabs:
        if answers not in without:
            reader.page.close()  # without a word to the others
    streams = [[SEATLESS, ALONE]]
    eventually(
        lambda: all(list(answers.seen("moves").values()) == streams for answers in without),
        within_s=15,
        what="the three tabs have streams",
    )
    for answers in without:
        answers.are("sse")
        answers.end(*answers.jobs)
        assert set(answers.seen("resets").values()) == {0}


def test_a_tab_with_many_answers_without_a_connection_polls_them_together(
    straight_harness: BrowserHarness, open_reader: Callable[[str], Reader], worker: ScriptedWorker
) -> None:
    """Two tabs with two streams each hold all four connections; a third tab's answers share polls that do not wait."""
    readers = [open_reader(straight_harness.url) for _ in range(3)]
    pages = [Answers(worker, reader, count) for reader, count in zip(readers, (2, 2, 4), strict=True)]
    for reader, answers in zip(readers, pages, strict=True):
        reader.connect()
        answers.read()
        answers.speak()
    first, second, third = pages
    third.wait("0")
    third.are("short")
    assert {*first.seen("transport").values(), *second.seen("transport").values()} == {"sse"}
    first.end(*first.jobs)
    third.wait("20")
    third.are("long")


def test_over_http_2_every_answer_has_a_stream(
    valkey_url: str, real_client: RedisClient, open_reader: Callable[[str], Reader], worker: ScriptedWorker
) -> None:
    """One connection of HTTP/2 has room for a hundred streams, so five answers neither share nor poll."""
    with BrowserHarness(valkey_url, with_nginx=True, with_tls=True) as harness:
        reader = open_reader(harness.url)
        reader.connect()
        assert reader.page.evaluate("performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
        answers = Answers(worker, reader, 5)
        answers.read()
        answers.speak()
        answers.are("sse")
        answers.end(*answers.jobs)
        assert set(map(str, answers.seen("moves").values())) == {"[]"}
        reader.page.close()
