"""An exported grid of edits: what was there before is compared with what came of it, without a kernel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from waits import closed

import qwen_widgets as qw
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio


def test_before_and_after_are_compared_as_any_two(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings(offline_seconds=0.05)))
    photo = Image.linear_gradient("L").resize((480, 400)).convert("RGB")
    grid = qw.generate("make it night\n\nmake it snow", seeds="1-2", images=photo)
    page.goto(grid.to_html(tmp_path / "edits.html").as_uri())
    page.wait_for_selector(".qw-viewer .qw-tile .qw-box")
    # Two rows of two edits, and the photo beside each.
    tiles = page.locator(".qw-tile")
    assert [tiles.nth(at).get_attribute("aria-label") for at in (2, 5)] == ["before", "before"]
    assert page.locator(".qw-tile img").count() == 6
    tiles.nth(0).focus()
    page.keyboard.press(" ")
    tiles.nth(2).focus()
    page.keyboard.press(" ")
    page.keyboard.press("c")
    assert page.locator(".qw-closer[open] .qw-lens").count() == 2
    words = page.locator(".qw-closer[open] .qw-words").inner_text()
    assert "seed 1" in words
    assert "before" in words
    page.keyboard.press("Escape")
    closed(page)
    # A blind vote is about the edits: two rows of two seeds make two pairs, and none of the photo with itself.
    page.keyboard.press("b")
    page.get_by_role("button", name="Start").click()
    assert page.locator(".qw-vote").get_by_text("pair 1 of 2").count() == 1
    assert page.console_errors == []
