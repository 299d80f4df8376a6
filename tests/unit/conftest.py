"""Fixtures of the tests without a kernel and without a page."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from house import House, open_house
from panel_kit import hosted, new_panel, panel

__all__ = ["hosted", "new_panel", "panel"]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """The embedded service as its clients see it; its clock stands still until it is told to pass."""
    async with open_house() as opened:
        yield opened
