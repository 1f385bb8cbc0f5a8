"""The texts of an answer, as they are shown: every character whole, and nothing said twice. Pure.

A provider may cut a character in two, as JSON's \\ud83d in one chunk and \\ude00 in the next. What comes out can always
be written as UTF-8.

Some servers repeat the whole text in the last piece. So a piece that equals all the text before it waits: if more text
follows, it was none of these; if none does, it is left out. Blanks at either end make no difference. Text that came in
one piece of fewer than 16 characters is never taken to be repeated: an answer "ha" "ha" stays whole.

Others repeat the whole text so far in each piece. Only what each of these pieces adds is shown.
"""

import zlib

_MORE_THAN_A_TOKEN = 16  # characters
_AT_ONCE = 256  # characters
_MOST_HELD = 3  # pieces of a text that may be cumulative
_MOST_BLANKS = 1000  # at the end of a text, which are then counted as text


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


class CumulativePieces:
    """The pieces of one text, of which each may be the whole text so far.

    They are if two pieces in a row each begin with the whole piece before them, and are longer. So a piece that begins
    with the one before waits for the next one. Text of other pieces comes out as it is; then this object `is_plain`,
    and of no more use.
    """

    def __init__(self, *, is_json: bool = False) -> None:
        """The text of an object of JSON cannot begin twice, so there one such piece is enough."""
        self._is_json = is_json
        self._first = 0  # characters of the first piece
        self._whole = ""  # the latest piece
        self._given = 0  # characters of it that came out
        self._growths = 0
        self._held: list[str] = []
        self.is_plain = False

    @property
    def is_holding(self) -> bool:
        """Whether a piece waits for the next one."""
        return bool(self._held)

    def are_repeated_by(self, piece: str) -> bool:
        """Whether this piece begins with the latest one, which began with the one before it."""
        return self._growths > 0 and piece.startswith(self._whole)

    def added(self, piece: str) -> str:
        """What comes out with this piece."""
        if not (piece and self._whole):
            self._whole = self._whole or piece
            self._first = self._given = len(self._whole)
            return piece
        is_longer = piece.startswith(self._whole)
        is_object = self._is_json and self._whole.lstrip()[:1] == "{"
        self._growths += is_longer and len(piece) > len(self._whole) and not self._whole.isspace()
        if is_longer and (self._growths > 1 or is_object):
            self._whole = piece
            return self._grown()
        if is_longer and len(self._held) < _MOST_HELD:
            self._whole = piece
            self._held.append(piece)
            return ""
        self.is_plain = True
        return "".join([*self._held, piece])

    def rest(self) -> str:
        """What waited, now that no piece follows. A short text that grew once is not taken to be cumulative."""
        if self._growths == 1 and self._held and self._first >= _MORE_THAN_A_TOKEN:
            return self._grown()
        self.is_plain = self.is_plain or bool(self._held)
        return "".join(self._held)

    def _grown(self) -> str:
        grown, self._given = self._whole[self._given :], len(self._whole)
        self._growths = 2
        self._held.clear()
        return grown


class SaidText:
    """What was shown of one text, as a length and a checksum: an answer may be long, and there may be many."""

    def __init__(self, *, may_be_cumulative: bool = False) -> None:
        self._may_be_cumulative = may_be_cumulative
        self._cumulative = CumulativePieces() if may_be_cumulative else None  # None, too, once it is known to be plain
        self._joiner = SurrogateJoiner()
        self._shown = 0  # characters
        self._recent = ""  # was shown, and the next three do not count it yet
        self._size = 0  # characters, without the blanks at both ends
        self._sum = 0  # of the same
        self._blanks = ""  # at the end
        self._pieces = 0  # that were shown and are not blank; 2 stand for any larger number
        self._held = ""  # a piece that may be a repetition

    @property
    def is_holding(self) -> bool:
        """Whether something waits for what comes next."""
        is_growing = self._cumulative is not None and self._cumulative.is_holding
        return bool(self._held) or self._joiner.is_holding or is_growing

    def piece(self, piece: str) -> str:
        """The text that this piece completes; empty when all of it has to wait."""
        if self._cumulative is not None:
            piece = self._cumulative.added(piece)
            self._forget_plain()
        return self._piece(piece)

    def _piece(self, piece: str) -> str:
        text = self._joiner.join(piece)
        if text and (self._held or 2 * len(text) >= self._shown > 0):  # a shorter one repeats nothing
            text, self._held = self._held + text, ""
            if self._is_told_by(text.strip()):
                text, self._held = "", text
        if text:
            self._shown += len(text)
            if self._pieces < 2:
                self._pieces += not text.isspace()
            recent = self._recent = self._recent + text
            if len(recent) >= _AT_ONCE:
                self._count()
        return text

    def last_piece(self, piece: str) -> str:
        """Like `piece`, for one that may tell the whole text, of which the last part has not been shown."""
        if self._cumulative is not None and (not self._shown or self._cumulative.are_repeated_by(piece)):
            return self.piece(piece)
        return self.part_ended() + self._last_piece(piece)

    def _last_piece(self, piece: str) -> str:
        self._count()
        text = piece.lstrip()
        if self._is_told_by(text[: self._size]):
            piece = text[self._size :].removeprefix(self._blanks)
        return self._piece(piece)

    def whole(self, text: str) -> str:
        """What was not shown of the whole text. A text that contradicts what was shown adds nothing."""
        if self._cumulative is not None and self._cumulative.are_repeated_by(text):
            return self.piece(text)
        return self.part_ended() + self._unsaid(text)

    def _unsaid(self, text: str) -> str:
        self._count()
        core = self._joiner.join(text).lstrip()
        if self._size and zlib.crc32(_bytes(core[: self._size])) != self._sum:
            return ""
        rest = core[self._size :].removeprefix(self._blanks) if self._size else text
        self._held = ""
        return self._piece(rest) if rest.strip() else ""

    def part_ended(self) -> str:
        """What waited of a part of the text that has ended; the next part may be cumulative by itself."""
        text = self.at_finish()
        self._cumulative = CumulativePieces() if self._may_be_cumulative else None
        return text

    def rest(self) -> str:
        """What is left at the end."""
        text = self.at_finish()
        self._held = ""
        return text + self._joiner.rest()

    def at_finish(self) -> str:
        """What waited only for the piece that shows whether the pieces are cumulative."""
        text = "" if self._cumulative is None else self._piece(self._cumulative.rest())
        self._forget_plain()
        return text

    def _forget_plain(self) -> None:
        if self._cumulative is not None and self._cumulative.is_plain:
            self._cumulative = None

    def _is_told_by(self, text: str) -> bool:
        self._count()
        is_long = self._pieces > 1 or self._size >= _MORE_THAN_A_TOKEN
        return is_long and len(text) == self._size and zlib.crc32(_bytes(text)) == self._sum

    def _count(self) -> None:
        """Count the recent pieces, all at once: a sum for each would cost more than all else that is done for it."""
        text, self._recent = self._blanks + self._recent, ""
        body = text if self._size else text.lstrip()
        core = body.rstrip() if len(self._blanks) < _MOST_BLANKS else body
        self._size += len(core)
        self._sum = zlib.crc32(_bytes(core), self._sum)
        self._blanks = body[len(core) :]


def paired(text: str) -> str:
    """A text with its pairs joined and its lone halves replaced."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
