"""Pictures of the page, of the real thing: `python -m tests.browser.screenshots [--all] [--into FOLDER] [--prompt …]`.

Starts a `tokentail up` of its own with the local model, asks it, and writes what a browser shows into docs/images:
page.png (in mid-answer, all four transports compared), phone.png, operator.png and recording.webp. `--all` writes both
pages at both sizes in both themes. Look at each before it is committed: a small model says what it likes.
"""

import argparse
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.acceptance.running import Up, running_up
from tests.browser.recording import record
from tests.programs import CHROMIUM

IMAGES = Path(__file__).parents[2] / "docs" / "images"
SIZES: dict[str, dict[str, Any]] = {
    "": {"viewport": {"width": 1280, "height": 800}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "has_touch": True,
        "is_mobile": True,
        "device_scale_factor": 2,
    },
}
COMMITTED = {"page", "phone", "operator"}
WITHIN_MS = 120_000


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--all", action="store_true", help="each size and theme, not only those of the docs")
    asked.add_argument("--into", type=Path, default=IMAGES)
    asked.add_argument("--model", default="local/smollm2-135m")
    asked.add_argument("--prompt", default="What is the water cycle?")
    options = asked.parse_args()
    path = CHROMIUM.path()
    if path is None:
        sys.exit("Chromium is missing: python -m tests.programs")
    options.into.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as folder,
        running_up(Path(folder), "--model", options.model) as up,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name, page in _pages(browser, is_whole=options.all):
            if name.startswith("operator"):
                _show_operator(page, up)
            else:
                _show_answer(page, up, options.prompt, is_compared="phone" not in name)
            page.screenshot(path=options.into / f"{name}.png")
            print(options.into / f"{name}.png")
        print(record(browser, up, options.prompt, options.into / "recording.webp"))
        browser.close()


def _pages(browser: Browser, *, is_whole: bool) -> Iterator[tuple[str, Page]]:
    """A page for each picture, by the picture's name."""
    for subject in ("page", "operator"):
        for size, options in SIZES.items():
            for scheme in ("light", "dark"):
                name = "-".join(filter(None, (subject, size, scheme if scheme == "dark" else "")))
                name = name.replace("page-phone", "phone")
                if is_whole or name in COMMITTED:
                    with _context(browser, color_scheme=scheme, **options) as page:
                        yield name, page


@contextmanager
def _context(browser: Browser, **options: Any) -> Iterator[Page]:
    context = browser.new_context(**options)
    yield context.new_page()
    context.close()


def _show_answer(page: Page, up: Up, prompt: str, *, is_compared: bool) -> None:
    """Wait until the answer is half written and compared on a large screen, or visible on a small one."""
    # The likeliest words, so that the picture is about the same each time.
    job_id = up.submit(prompt=prompt, max_tokens=220, temperature=0, metadata={"title": prompt})
    page.goto(f"{up.url}/?job={job_id}")
    if not is_compared:
        expect(page.locator("#state-text")).to_have_text("Complete", timeout=WITHIN_MS)
        page.evaluate("scrollTo(0, 0)")  # as asking does there
        return
    expect(page.locator("#answer p")).not_to_have_count(0, timeout=WITHIN_MS)
    page.get_by_role("button", name="Compare all four, live").click()
    expect(page.locator("#fact-tokens")).to_have_text(re.compile(r"^(4[5-9]|[5-9]\d|\d{3,})$"), timeout=WITHIN_MS)


def _show_operator(page: Page, up: Up) -> None:
    """The operator's view with a minute of history and jobs to do."""
    for number in range(3):
        up.submit(
            model="demo?tokens=300&tps=30", prompt=f"Job {number}", metadata={"title": f"A demo, number {number + 1}"}
        )
    page.goto(f"{up.url}/operator")
    expect(page.locator("#tokens")).not_to_have_text("0", timeout=WITHIN_MS)
    page.wait_for_timeout(8000)


if __name__ == "__main__":
    main()
