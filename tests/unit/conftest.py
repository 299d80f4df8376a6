"""Fixtures of the tests without a kernel and without a page."""

from __future__ import annotations

from panel_kit import hosted, new_panel, panel

__all__ = ["hosted", "new_panel", "panel"]
