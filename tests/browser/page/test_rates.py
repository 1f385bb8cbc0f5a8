"""The rate of an answer that was reset because an earlier attempt was lost."""

from playwright.sync_api import Page

from tests.browser.harness import BrowserHarness

# An answer of 101 tokens in two seconds; the job's first token is a minute older.
SHOWN = """async () => {
  const { FactsView } = await import("/page/facts.js");
  const list = document.createElement("dl");
  for (const name of ["place", "first", "rate", "tokens", "usage", "attempts", "model", "expiry", "cursor"]) {
    list.append(Object.assign(document.createElement("dd"), { id: `fact-${name}` }));
  }
  const view = {
    token_count: 101, attempts: 2, first_token_at: "2026-01-01T00:00:00.000Z",
    answer_first_token_at: "2026-01-01T00:01:00.000Z", ended_at: "2026-01-01T00:01:02.000Z",
  };
  new FactsView(list, document.createElement("p")).show({ done: true, tokenCount: 101 }, view, null);
  return list.querySelector("#fact-rate").textContent;
}"""

# Three looks, a second apart: 100 tokens, 20 of a new answer, 50 of the same.
LOOKED = """async () => {
  const { tokensPerSecond } = await import("/page/tally.js");
  const looks = [["a", 100], ["b", 20], ["b", 50]].map(([at, tokens]) => [
    { id: "job", token_count: tokens, answer_first_token_at: at },
  ]);
  const seen = (views) => new Map(views.map((view) => [view.id, view]));
  return [tokensPerSecond(seen(looks[0]), looks[1], 1000), tokensPerSecond(seen(looks[1]), looks[2], 1000)];
}"""


def test_an_answers_rate_counts_from_its_own_first_token(page: Page, harness: BrowserHarness) -> None:
    """The time of a lost attempt does not count in the rate of the next one."""
    page.goto(harness.url)
    assert page.evaluate(SHOWN) == "50"


def test_an_answer_that_was_begun_anew_counts_from_nothing(page: Page, harness: BrowserHarness) -> None:
    """All tokens of a reset answer count, though there are fewer than before."""
    page.goto(harness.url)
    assert page.evaluate(LOOKED) == [20, 30]
