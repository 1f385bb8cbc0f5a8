"""What a person at the page does and sees."""

import re

from playwright.sync_api import Locator, Page, expect

TRANSPORTS = {"auto": "Automatic", "sse": "SSE", "websocket": "WebSocket", "long": "Long poll", "short": "Short poll"}


class Sight:
    """One page, used as a person uses it."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def ask(self, prompt: str = "Why?") -> str:
        """Submit a prompt; returns the job's id, which the page puts into its address."""
        before = self.page.url
        self.page.get_by_role("textbox", name="Prompt").fill(prompt)
        self.page.get_by_role("button", name="Ask", exact=True).click()
        self.page.wait_for_url(lambda url: url != before and "job=" in url)
        return self.job_id

    @property
    def job_id(self) -> str:
        found = re.search(r"[?&]job=([a-z0-9]+)", self.page.url)
        assert found is not None
        return found[1]

    def switch(self, transport: str) -> None:
        """Choose a transport by a click in the menu, which that folds again if it is another one."""
        if not self.page.locator("#via-auto").is_visible():
            self.page.locator("#via summary").click()
        self.page.get_by_role("radio", name=TRANSPORTS[transport], exact=True).check()

    @property
    def answer(self) -> Locator:
        return self.page.locator("#answer")

    @property
    def text(self) -> str:
        return self.answer.inner_text()

    def sees(self, text: str) -> None:
        """Wait until the answer is exactly this text."""
        expect(self.answer).to_have_text(text, use_inner_text=True, timeout=10_000)

    def is_told(self, state: str) -> None:
        expect(self.page.locator("#state-text")).to_have_text(state, timeout=10_000)

    def fact(self, name: str) -> Locator:
        return self.page.locator(f"#fact-{name}")
