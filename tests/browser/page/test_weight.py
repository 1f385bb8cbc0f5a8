"""The bytes that the page loads over the network, at the first visit and at the second."""

import re
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.harness import BrowserHarness
from tests.browser.page.conftest import NewContext
from tests.scripted_worker import ScriptedWorker

DOCS = Path(__file__).parents[3] / "docs" / "page.md"
SIZES = """performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .filter(({ name }) => !name.includes("/v1/")).map(({ name, encodedBodySize }) => [name, encodedBodySize])"""


def test_the_page_is_light_on_the_wire(
    new_context: NewContext, harness: BrowserHarness, worker: ScriptedWorker
) -> None:
    """The page loads less than 90 kB from one host, in as many files as the docs say, and none of them twice."""
    page = new_context().new_page()
    wire = page.context.new_cdp_session(page)
    wire.send("Network.enable")
    urls: dict[str, str] = {}
    came: list[tuple[int, str]] = []  # over the wire: what scripts see is 200 where a 304 was
    wire.on("Network.requestWillBeSent", lambda told: urls.update({told["requestId"]: told["request"]["url"]}))
    wire.on("Network.responseReceivedExtraInfo", lambda told: came.append((told["statusCode"], told["requestId"])))
    page.goto(harness.url)
    expect(page.locator("#model")).to_have_value("demo", timeout=20_000)
    sizes = page.evaluate(SIZES)
    files = {url for url, _ in sizes}
    told = re.search(r"(\d+) kB over the wire for all of it, compressed, in (\d+) files", DOCS.read_text())
    assert told is not None
    assert (round(sum(size for _, size in sizes) / 1000), len(files)) == (int(told[1]), int(told[2]))
    assert int(told[1]) < 90
    assert all(url.startswith(harness.url) for url in urls.values())
    assert sorted(urls[id_] for status, id_ in came if status == 200 and urls[id_] in files) == sorted(files)
    came.clear()
    page.reload()
    expect(page.locator("#model")).to_have_value("demo")
    assert {(status, urls[id_]) for status, id_ in came if urls[id_] in files} == {(304, url) for url in files}
