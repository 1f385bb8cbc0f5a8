"""A recording of the page in use, as an animated WebP: asking, switching the transport, reloading, reading again.

Frames are screenshots, taken as fast as the browser gives them. Each is shown until the next different one was taken.
"""

import io
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.running import Up

_WITHIN_MS = 120_000
_LAST_FRAME_MS = 2500


class _Film:
    """Frames and how long each is shown."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._frames: list[bytes] = []
        self._began_s: list[float] = []

    def run(self, seconds: float) -> None:
        """Take frames for this long."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            frame = self._page.screenshot(type="png")
            if not self._frames or frame != self._frames[-1]:
                self._frames.append(frame)
                self._began_s.append(time.monotonic())

    def save(self, path: Path) -> None:
        images = [Image.open(io.BytesIO(frame)).convert("RGB") for frame in self._frames]
        ends = [*self._began_s[1:], self._began_s[-1] + _LAST_FRAME_MS / 1000]
        durations = [round(1000 * (end - began)) for began, end in zip(self._began_s, ends, strict=True)]
        images[0].save(
            path,
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
            quality=85,
            method=6,
            minimize_size=True,
        )


def record(browser: Browser, up: Up, prompt: str, path: Path) -> Path:
    """Record a visit to the page that `up` serves. Returns the path."""
    context = browser.new_context(viewport={"width": 960, "height": 600})
    page = context.new_page()
    page.goto(up.url)
    expect(page.locator("#model")).not_to_have_value("", timeout=_WITHIN_MS)
    film = _Film(page)
    film.run(0.8)
    for start in range(0, len(prompt), 4):
        page.keyboard.type(prompt[start : start + 4])
        film.run(0.05)
    page.locator("#max-tokens").fill("150")
    page.locator("#prompt").press("Enter")
    expect(page.locator("#answer")).not_to_be_empty(timeout=_WITHIN_MS)
    film.run(2)
    page.locator("#via summary").click()
    film.run(0.9)
    page.get_by_role("radio", name="Long poll").click()
    film.run(1.5)
    page.reload()
    expect(page.locator("#answer")).not_to_be_empty(timeout=_WITHIN_MS)
    film.run(1)
    expect(page.locator("#again")).to_be_visible(timeout=_WITHIN_MS)
    film.run(0.5)
    page.locator("#replay").get_by_role("button", name="WebSocket").click()
    expect(page.locator("#replayed")).to_contain_text("Read again", timeout=_WITHIN_MS)
    page.mouse.move(0, 0)
    film.run(0.6)
    film.save(path)
    context.close()
    return path
