"""A model's output is hostile: it never becomes script, a link to this server, or a picture that loads by itself."""

import time
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page.sight import Sight
from tests.scripted_worker import COMPLETED, ScriptedWorker
from tokentail.log.element import Citation, Code, CustomToolCall, Media, Reasoning, Skipped, ToolCall, ToolResult

SCRIPTS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "<style>body{display:none}</style>",
    "<base href='https://evil.example/'>",
    "<form action='https://evil.example/'><button>x</button></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example/'>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](vbscript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](blob:http://127.0.0.1/x)",
    "[x](file:///etc/passwd)",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml,<svg/onload=alert(1)>)",
    "![x](https://evil.example/pixel.png)",
    "![x](/v1/session)",
    '[x](https://ok.example "onmouseover=alert(1)")',
    '[x](https://ok.example/"onmouseover="alert(1))',
    "`<script>alert(1)</script>`",
    "```html\n<script>alert(1)</script>\n```",
    '``` "onmouseover=alert(1)\n x\n```',
    "[costly](/stream?query=all+my+money)",
    "[costly](//127.0.0.1/stream?query=x)",
    "[costly](stream?query=x)",
]
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
# What there is in the document that could do harm, by looking at everything below the answer.
HARM = """() => {
  const allowed = new Set(["http:", "https:", "mailto:"]);
  const found = [];
  for (const element of document.querySelectorAll("#answer *, #reasoning-text *, #tool-calls *, #extras *")) {
    if (/^(script|img|svg|math|iframe|object|embed|style|base|form|meta|link|video|audio)$/i.test(element.localName)) {
      found.push(element.outerHTML);
    }
    for (const { name } of element.attributes) {
      if (/^on|^style$|^srcdoc$|^id$/.test(name)) found.push(`${element.localName} ${name}`);
    }
    if (element.localName === "a" && element.hasAttribute("href")) {
      const isOutside = allowed.has(element.protocol) && element.host !== location.host;
      const isAlone = element.rel.includes("noopener") && element.target === "_blank";
      if (!isOutside || !isAlone) found.push(element.outerHTML);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("cut", [False, True], ids=["whole", "in pieces"])
def test_nothing_that_a_model_says_is_run_or_loaded(sight: Sight, worker: ScriptedWorker, cut: bool) -> None:
    """Script, handlers, addresses and pictures do no harm in text, reasoning or tool calls, however cut."""
    page = sight.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: asked.append(f"dialog {dialog.message}"))
    writer = worker.take(sight.ask())
    text = "\n\n".join(SCRIPTS) + "\n\nThe end."
    step = 7 if cut else len(text)
    worker.say(writer, *(text[n : n + step] for n in range(0, len(text), step)))
    worker.say(writer, Reasoning(text), ToolCall(0, "c", "<img src=x onerror=alert(1)>", '{"a": "<script>"}'))
    bad = "javascript:alert(1)"
    worker.say(
        writer, Citation(bad, SCRIPTS[0], SCRIPTS[1]), Citation("/stream?query=x", SCRIPTS[2]), Code("1", bad, text)
    )
    worker.say(
        writer,
        Media(0, "image", "image/svg+xml", "PHN2Zy8+"),
        Media(1, "image", "image/png", url="https://evil.example/p"),
    )
    worker.say(writer, ToolResult("1", SCRIPTS[0], text), Skipped("part", SCRIPTS[1], 9))
    expect(sight.answer).to_contain_text("The end.")
    assert page.evaluate(HARM) == []
    worker.say(writer, COMPLETED)
    sight.is_told("Complete")
    assert page.evaluate(HARM) == []
    assert [url for url in asked if "evil.example" in url or "dialog" in url or "/v1/session" in url] == []
    expect(sight.answer).to_contain_text("<script>alert(1)</script>")  # it is seen as what it is


def test_links_outside_open_without_a_way_back(sight: Sight, worker: ScriptedWorker) -> None:
    """Links have noopener, noreferrer and their address as title; pictures are links that load only when followed."""
    text = "[ok](https://ok.example/a) https://bare.example <mail@ok.example> ![cat](https://pic.example/c.png)"
    worker.answer(sight.ask(), text)
    sight.is_told("Complete")
    links = sight.answer.locator("a")
    expect(links).to_have_count(4)
    for link in links.all():
        assert link.get_attribute("rel") == "noopener noreferrer nofollow"
        assert link.get_attribute("target") == "_blank"
    assert links.first.get_attribute("title") == "https://ok.example/a"
    expect(links.last).to_have_text("Picture: cat")


def test_reasoning_is_folded_apart(sight: Sight, worker: ScriptedWorker) -> None:
    """Reasoning can be unfolded, and is not a part of the answer."""
    writer = worker.take(sight.ask())
    worker.say(writer, Reasoning("Let me"), Reasoning(" think."), "An answer.", COMPLETED)
    sight.sees("An answer.")
    reasoning = sight.page.locator("#reasoning-text")
    expect(reasoning).to_be_hidden()
    sight.page.get_by_text("Reasoning 13 characters").click()
    expect(reasoning).to_have_text("Let me think.")


def test_tool_calls_are_shown_as_what_they_are(sight: Sight, worker: ScriptedWorker) -> None:
    """A tool call shows its name and its arguments, joined from their pieces."""
    writer = worker.take(sight.ask())
    worker.say(writer, ToolCall(0, "call_1", "weather", '{"city"'), ToolCall(1, "call_2", "time", "{}"))
    worker.say(writer, ToolCall(0, arguments=': "Wien"}'), CustomToolCall(2, "call_3", "sql", "SELECT"))
    worker.say(writer, CustomToolCall(2, input=" 1"), COMPLETED)
    sight.is_told("Complete")
    calls = sight.page.locator(".tool-call")
    expect(calls).to_have_count(3)
    expect(calls.first).to_contain_text("The model asks for the tool weather")
    expect(calls.first.locator("code")).to_have_text('{ "city": "Wien" }')
    expect(calls.last.locator("code")).to_have_text("SELECT 1")


def test_what_comes_beside_the_text_is_shown_or_named(sight: Sight, worker: ScriptedWorker) -> None:
    """Sources are links, each once; a picture has a bounded size; other media are named; code and its result are
    joined; skipped content is a note. All of it is there after a reload, and gone after a reset."""
    writer = worker.take(sight.ask())
    worker.say(writer, "See", Citation("https://a.example/1", "One"), Citation("https://a.example/1", "One", "again"))
    worker.say(writer, Media(0, "image", "image/png", PIXEL), Media(1, "audio", "audio/wav", "AAAA"))
    worker.say(writer, Code("c", "python", "print("), Code("c", "python", "6*7)"), ToolResult("c", "python", "42"))
    worker.say(writer, Skipped("part", "hologram", 1200))
    extras = sight.page.locator("#extras")
    for _ in range(2):
        expect(extras.locator(".sources li")).to_have_count(1)
        expect(extras.get_by_role("link", name="One")).to_have_attribute("href", "https://a.example/1")
        picture = extras.locator(".media img")
        expect(picture).to_have_count(1)
        assert picture.evaluate("picture => picture.complete && picture.naturalWidth === 1")
        expect(extras).to_contain_text("Audio, audio/wav, 3 B")
        expect(extras.locator("code").first).to_have_text("print(6*7)")
        expect(extras).to_contain_text("Result of python")
        expect(extras).to_contain_text("hologram (1.2 kB)")
        sight.page.reload()
    writer.start("again", "p", "m")
    worker.say(writer, "New", COMPLETED)
    sight.sees("New")
    expect(extras.locator("*")).to_have_count(0)


RICH = """# Title

Some *text* with `code`, [a link](https://ok.example) and a line
that goes on.

- one
- two
  - two and a half

  with a paragraph
10. ten
11. eleven

> quoted
> # heading in it

| a | b |
|:--|--:|
| 1 | 2 |

```python
print("hello")

print("again")
```

Heading below
---

    indented

- a
#not a heading

*unclosed **emphasis

***

End"""
LATER = "[later] is defined later.\n\nBetween.\n\n[later]: https://later.example\n\nThe end."

# Feeds a text in pieces to one view and whole to another; the HTML of both, and how long the worst step took.
FED = """async ([text, step]) => {
  const { MarkdownView } = await import("/page/markdown_view.js");
  const [one, other] = [document.createElement("div"), document.createElement("div")];
  const grown = new MarkdownView(one);
  let worst = 0;
  const began = performance.now();
  for (let end = step; end < text.length + step; end += step) {
    const before = performance.now();
    grown.show(text.slice(0, end));
    worst = Math.max(worst, performance.now() - before);
  }
  grown.finish(text);
  const took = performance.now() - began;
  new MarkdownView(other).finish(text);
  one.normalize();
  other.normalize();
  const isSame = one.isEqualNode(other); // whatever the order of attributes
  return { isSame, grown: one.innerHTML, whole: other.innerHTML, took, worst };
}"""


def fed(page: Page, text: str, step: int) -> Any:
    return page.evaluate(FED, [text, step])


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("step", [1, 2, 3, 17])
def test_what_comes_in_pieces_looks_like_the_whole(page: Page, step: int, line_end: str) -> None:
    """However a text is cut, parsing only its last block again gives the same result as parsing all of it."""
    shown = fed(page, RICH.replace("\n", line_end), step)
    assert shown["isSame"], (shown["grown"], shown["whole"])
    assert "<table>" in shown["whole"]
    assert "<h3>not" not in shown["whole"]


@pytest.mark.parametrize("step", [1, 5])
def test_a_link_may_be_defined_after_its_use(page: Page, step: int) -> None:
    """A growing link definition is not used until it is complete."""
    shown = fed(page, LATER, step)
    assert shown["isSame"], (shown["grown"], shown["whole"])
    assert 'title="https://later.example/"' in shown["whole"]


def test_a_long_answer_costs_what_its_last_block_costs(page: Page) -> None:
    """A text ten times as long takes about ten times as long to show, not a hundred times."""
    paragraph = "Some **words** that make up a paragraph, with `code` in it. " * 4 + "\n\n"
    short, long = (fed(page, paragraph * count, 50)["took"] for count in (20, 200))
    assert long < 30 * max(short, 5)


@pytest.mark.parametrize(
    "text",
    [
        "> " * 3000 + "deep",
        "- " * 3000 + "deep",
        "*" * 5000 + "x" + "*" * 5000,
        "[" * 20000,
        "![" * 10000,
        "`" * 20000,
        "a](" * 10000,
        "<" * 20000,
        "|" * 5000 + "\n" + "|-" * 2500 + "\n",
        "&" * 20000,
        "\\" * 20000,
        "_a " * 5000,
    ],
    ids=lambda text: text[:6],
)
def test_what_is_made_to_be_slow_is_not(page: Page, text: str) -> None:
    """Deep nesting and runs of marks neither break the page nor delay it."""
    shown = fed(page, text, len(text))
    assert shown["worst"] < 2500
    assert shown["isSame"], (shown["grown"], shown["whole"])


def test_an_endless_block_leaves_the_page_usable(sight: Sight, worker: ScriptedWorker) -> None:
    """Buttons respond within a moment while a paragraph of 300 kB grows token by token."""
    writer = worker.take(sight.ask())
    for _ in range(100):
        worker.say(writer, *["word **bold** `code` "] * 150)
    expect(sight.answer).to_contain_text("word")
    began = time.monotonic()
    sight.page.locator("#stop").click()
    assert time.monotonic() - began < 5
    sight.is_told("Stopped")
    expect(sight.answer.locator(".plain")).to_have_count(0, timeout=20_000)  # read whole, once it has ended
    expect(sight.answer.locator("strong").first).to_have_text("bold")
