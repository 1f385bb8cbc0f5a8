"""The images and the sound of one answer of OpenAI's Responses. Pure."""

from collections.abc import Iterator
from typing import Any

from tokentail.log.element import Media
from worker.dialects.openai.responses_items import Item
from worker.upstream.content import words


class ResponsesMedia:
    """Numbers each medium, and holds back an image until it is whole."""

    def __init__(self) -> None:
        self.count = 0
        self.sound: int | None = None  # the number of the sound
        self._partial: tuple[Item, Media] | None = None  # the latest image of an item that is not whole yet

    @property
    def is_holding(self) -> bool:
        return self._partial is not None

    def next_index(self) -> int:
        self.count += 1
        return self.count - 1

    def audio(self, data: str) -> Iterator[Media]:
        """A piece of the answer as sound."""
        if data:
            self.sound = self.next_index() if self.sound is None else self.sound
            yield Media(self.sound, "audio", "", data=words(data))

    def partial(self, item: Item, data: str, output_format: Any) -> Iterator[Media]:
        """An image that is not whole yet. The last one of an item is shown, and only if no whole one comes."""
        if not self.has_partial(item):
            yield from self.rest()
        if data and not item.is_told:
            index = self._partial[1].index if self._partial else self.next_index()
            self._partial = item, image(index, words(data), output_format)

    def whole(self, item: Item, told: dict[str, Any], *, was_told: bool) -> Iterator[Media]:
        """The image of a whole item; the last partial one where the item does not have it."""
        if (data := words(told.get("result"))) and not was_told:
            index = self._partial[1].index if self._partial and self.has_partial(item) else self.next_index()
            self._partial = None if self.has_partial(item) else self._partial
            yield image(index, data, told.get("output_format"))
        elif self.has_partial(item):
            yield from self.rest()

    def rest(self) -> Iterator[Media]:
        """The image that was held back, now that no other will come for it."""
        if self._partial is not None:
            (item, media), self._partial = self._partial, None
            item.is_told = True
            yield media

    def has_partial(self, item: Item) -> bool:
        """Whether an image of this item is held back."""
        return self._partial is not None and self._partial[0] is item


def image(index: int, data: str, output_format: Any) -> Media:
    """An image from its base64, or from its address."""
    named = "svg+xml" if output_format == "svg" else words(output_format)
    if data.startswith(("http://", "https://", "data:")):
        return Media(index, "image", f"image/{named}" if named else "", url=data)
    return Media(index, "image", f"image/{named or 'png'}", data=data)
