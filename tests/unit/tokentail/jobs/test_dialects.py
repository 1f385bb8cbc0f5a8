"""The dialects: the refusal names what a provider has no counterpart of, and quotes no more of it than can be read."""

import pytest

from tokentail.errors import InvalidRequest
from tokentail.jobs.dialects import check_dialect
from tokentail.jobs.message import ImagePart, ImageUrl, Message, Part
from tokentail.jobs.request import GenerationRequest


def test_what_is_told_of_a_thousand_images_is_short() -> None:
    """One place in the answer for each would make it grow with the body."""
    images: list[Part] = [ImagePart(ImageUrl("https://example.com/a.png"))] * 1000
    with pytest.raises(InvalidRequest) as refused:
        check_dialect(GenerationRequest(messages=[Message("user", images)]), "ollama")
    assert [fault.field for fault in refused.value.faults][:2] == [
        "messages[0].content[0].image_url.url",
        "messages[0].content[1].image_url.url",
    ]
    assert len(refused.value.faults) == 21
