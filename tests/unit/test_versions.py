"""`make versions`: a version that git does not have is a sentence."""

import pytest

from tests import versions

pytestmark = pytest.mark.checkout


def test_a_version_that_is_not_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence names what was given and where names are found; there is no traceback."""
    monkeypatch.setattr("sys.argv", ["versions", "v99.99.99"])
    with pytest.raises(SystemExit) as ended:
        versions.main()
    assert "git has no version v99.99.99 here: name a tag (git tag) or a commit" in str(ended.value.code)
