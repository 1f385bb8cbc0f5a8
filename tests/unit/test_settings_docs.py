"""docs/settings.md has the settings that there are, with their defaults, bounds and meanings, and no others."""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from tokentail.config.settings import Settings

_DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"
_ROW = re.compile(r"^\| `(\w+)` \|([^|]*)\|([^|]*)\|([^|]*)\|$", re.MULTILINE)


def documented() -> list[str]:
    """Each row with a variable, a default, bounds and a meaning."""
    return [" | ".join(cell.strip() for cell in row) for row in _ROW.findall(_DOCUMENT.read_text())]


def row_of(metadata: Mapping[str, Any], default: Any) -> str:
    """The row of a setting: what the code says of it."""
    match default:
        case None | () | "":
            shown = "none"
        case bool():
            shown = f"`{str(default).lower()}`"
        case float():
            shown = f"`{default:g}`"
        case _:
            shown = f"`{default}`"
    least, most = metadata.get("least"), metadata.get("most")
    bounds = "" if least is None else f"from {least}" if most is None else f"{least} to {most}"
    secret = " (secret)" if metadata["secret"] else ""
    return " | ".join((metadata["name"], shown, bounds, metadata["meaning"] + secret))


def test_the_page_has_every_setting_as_the_code_has_it() -> None:
    """What a reader looks up is what is in force; meanings are those that `tokentail check` prints."""
    assert sorted(documented()) == sorted(row_of(f.metadata, f.default) for f in fields(Settings))
