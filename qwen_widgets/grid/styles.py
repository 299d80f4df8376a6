"""The style sheets, each behind the colours that viewer, panel and snapshot share."""

from __future__ import annotations

from pathlib import Path

_STATIC = Path(__file__).parent / "static"


def style_sheet(path: Path) -> str:
    """Return a style sheet with the shared colours before it."""
    return "\n".join(file.read_text(encoding="utf-8") for file in (_STATIC / "colours.css", path))
