"""tokentail.js's parser of Server-Sent Events follows the WHATWG's rules, however the bytes are cut."""

from typing import Any

import pytest
from playwright.sync_api import Page

from tests.browser.client.conftest import ANY_PAGE
from tests.browser.harness import BrowserHarness

# Each: bytes, and the events in them as (type, data, lastEventId).
CASES: dict[str, tuple[bytes, list[tuple[str, str, str]]]] = {
    "line_feeds": (b"data: a\n\ndata: b\n\n", [("message", "a", ""), ("message", "b", "")]),
    "carriage_returns": (b"data: a\r\rdata: b\r\r", [("message", "a", ""), ("message", "b", "")]),
    "both": (b"id: 1\r\ndata: a\r\n\r\ndata: b\r\n\r\n", [("message", "a", "1"), ("message", "b", "1")]),
    "mixed": (b"data: a\r\ndata: b\rdata: c\n\r\n", [("message", "a\nb\nc", "")]),
    "byte_order_mark": (b"\xef\xbb\xbfdata: a\n\n", [("message", "a", "")]),
    "a_second_mark_is_text": (b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [("message", "b", "")]),
    "one_space_goes": (
        b"data:a\n\ndata:  b\n\ndata: \n\n",
        [("message", "a", ""), ("message", " b", ""), ("message", "", "")],
    ),
    "empty_lines_of_data": (b"data\ndata\n\ndata:\n\n", [("message", "\n", ""), ("message", "", "")]),
    "comments": (b":\n\n: x\ndata: a\n:y\n\n", [("message", "a", "")]),
    "ids": (
        b"id: 1\ndata: a\n\nid\ndata: b\n\nid: 2\n\ndata: c\n\n",
        [("message", "a", "1"), ("message", "b", ""), ("message", "c", "2")],
    ),
    "an_id_with_null_is_none": (
        b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
        [("message", "a", "1"), ("message", "b", "1")],
    ),
    "types": (b"event: error\ndata: a\n\ndata: b\n\n", [("error", "a", ""), ("message", "b", "")]),
    "a_type_alone_is_no_event": (b"event: x\n\ndata: a\n\n", [("message", "a", "")]),
    "unknown_fields": (b"datum: x\ndata : y\n data: z\nretry: soon\ndata: a\n\n", [("message", "a", "")]),
    "colons": (b"data: a: b\n\ndata::c\n\n", [("message", "a: b", ""), ("message", ":c", "")]),
    "letters_of_many_bytes": ("data: é東🙂\u2028\n\n".encode(), [("message", "é東🙂\u2028", "")]),
    "bytes_that_are_no_letters": (b"data: a\xffb\n\n", [("message", "a\ufffdb", "")]),
    "what_is_cut_off_is_none": (b"data: a\n\ndata: b\n", [("message", "a", "")]),
    "the_servers_opening": (b"retry: 1000\nid: 0\n\nid: k.2\ndata: {}\n\n:\n\n", [("message", "{}", "k.2")]),
}
PARSE = """async ([bytes, cuts]) => {
  const { EventParser } = await import("/tokentail.js");
  const whole = new Uint8Array(bytes);
  return cuts.map((at) => {
    const parser = new EventParser();
    const parts = at < 0 ? [...whole].map((byte) => new Uint8Array([byte])) : [whole.slice(0, at), whole.slice(at)];
    return parts.flatMap((part) => parser.push(part)).map((event) => [event.type, event.data, event.lastEventId]);
  });
}"""


@pytest.fixture(scope="module")
def module_page(browser: Any, shared_straight_harness: BrowserHarness) -> Any:
    page = browser.new_page()
    page.goto(shared_straight_harness.url + ANY_PAGE)
    yield page
    page.close()


@pytest.mark.parametrize("case", CASES)
def test_events_are_the_same_however_the_bytes_are_cut(case: str, module_page: Page) -> None:
    """Each stream is parsed equally when cut in two at every position, and byte by byte."""
    content, events = CASES[case]
    cuts = [-1, *range(len(content) + 1)]
    found = module_page.evaluate(PARSE, [list(content), cuts])
    wrong = {cut: each for cut, each in zip(cuts, found, strict=True) if each != [list(event) for event in events]}
    assert wrong == {}


@pytest.mark.parametrize("case", CASES)
def test_a_browsers_own_event_source_reads_the_same(case: str, module_page: Page) -> None:
    """Chromium's own EventSource confirms the expected events of these tests."""
    content, events = CASES[case]
    found: list[list[str]] = []

    def answer(route: Any) -> None:
        route.fulfill(body=content, headers={"Content-Type": "text/event-stream"})

    module_page.route("**/judged", answer)
    found = module_page.evaluate(
        """() => new Promise((resolve) => {
          const found = [];
          const source = new EventSource("/judged");
          const heard = (event) => found.push([event.type, event.data, event.lastEventId]);
          source.onmessage = heard;
          source.addEventListener("error", (event) => {
            if (event.data !== undefined) return heard(event);
            source.close();
            resolve(found);
          });
        })"""
    )
    module_page.unroute("**/judged")
    assert found == [list(event) for event in events]


def test_the_time_between_tries_is_read(module_page: Page) -> None:
    """Only a value of digits sets the retry time."""
    told = module_page.evaluate(
        """async () => {
          const { EventParser } = await import("/tokentail.js");
          const parser = new EventParser();
          parser.push(new TextEncoder().encode("retry: 1500\\nretry: 2s\\nretry\\n\\n"));
          return parser.retryMs;
        }"""
    )
    assert told == 1500


LIMITED = """async ([unit, count, size, limit]) => {
  const { EventParser, TokentailError } = await import("/tokentail.js");
  const parser = new EventParser(limit);
  const stream = new TextEncoder().encode(unit.repeat(count));
  try {
    for (let at = 0; at < stream.length; at += size) parser.push(stream.subarray(at, at + size));
  } catch (error) {
    return error instanceof TokentailError && error.message;
  }
  return null;
}"""


@pytest.mark.parametrize("size", [1, 17, 65536])
@pytest.mark.parametrize("unit", ["data:\n", "data\r", "data: x\r\n", "x", ":", "id: x"])
def test_an_event_that_never_ends_is_refused(unit: str, size: int, module_page: Page) -> None:
    """An event over the limit is refused whatever its lines are, empty ones included, in pieces of any size."""
    refused = module_page.evaluate(LIMITED, [unit, 20_000, size, 10_000])
    assert refused == "An event of the stream is longer than 10000 bytes."


@pytest.mark.parametrize("unit", [": ping\n", "\n", "data: x\n\n", "nonsense: x\r\n", "event: x\n\n"])
def test_a_long_stream_of_small_events_is_no_large_event(unit: str, module_page: Page) -> None:
    """The limit counts the bytes of the unfinished event, not of the stream."""
    assert module_page.evaluate(LIMITED, [unit, 20_000, 17, 100]) is None
