"""The surrogate joiner: a character that a provider cut in two, as JSON's \\ud83d in one chunk and \\ude00 in the next.

What comes out can always be written as UTF-8.
"""


class SurrogateJoiner:
    """Joins the pieces of one text. A half that never meets its partner becomes U+FFFD."""

    def __init__(self) -> None:
        self._held = ""  # a high surrogate at the end of the last piece

    @property
    def is_holding(self) -> bool:
        """Whether a half is waiting for its partner."""
        return bool(self._held)

    def join(self, piece: str) -> str:
        """The text that this piece completes; empty when all of it has to wait."""
        if piece.isascii() and not self._held:  # nearly always, and cheap to know
            return piece
        text = self._held + piece
        self._held = ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._held = text[:-1], text[-1]
        return paired(text)

    def rest(self) -> str:
        """What is left at the end."""
        text, self._held = paired(self._held), ""
        return text


def paired(text: str) -> str:
    """A text with its pairs joined and its lone halves replaced."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text
