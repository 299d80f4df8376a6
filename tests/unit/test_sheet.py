"""The contact sheet says what the grid says: prompts of every script, what tells rows apart, choices, flagged pictures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from PIL import Image, ImageDraw

import qwen_widgets as qw
from qwen_widgets.grid import sheet as sheets
from qwen_widgets.grid.grid import Cell
from qwen_widgets.settings import Settings
from qwen_widgets.studio import Studio

STAR = (0xFF, 0xC8, 0x3D)
#: Where the row headers are, in pixels at scale 1.
LEFT, RIGHT = 16, 16 + 170 - 6


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwen_widgets.studio._default", Studio(Settings(offline_seconds=0.01)))


def header(sheet: Image.Image, top: int, bottom: int) -> np.ndarray:
    """Return where there is ink in a part of the row headers."""
    return np.asarray(sheet.convert("L"))[top:bottom, LEFT:RIGHT] < 160


def tiles(sheet: Image.Image) -> np.ndarray:
    return np.asarray(sheet.convert("RGB"))[:, RIGHT + 6 :]


def test_stars_and_what_is_kept_and_rejected_are_on_it() -> None:
    grid = qw.generate("a red fox", seeds="1-2", sizes="16:9")
    before = tiles(grid.sheet())
    grid[0, 0].rating = 3
    starred = tiles(grid.sheet())
    assert (starred == STAR).all(axis=2).sum() > 60
    grid[0, 0].rating = 0
    grid[0, 0].mark = "keep"
    kept = tiles(grid.sheet())
    assert 30 < (kept != before).any(axis=2).sum() < 600
    grid[0, 0].mark = "reject"
    rejected = tiles(grid.sheet())
    assert rejected.mean() > before.mean() + 15
    grid[0, 0].mark = ""
    assert (tiles(grid.sheet()) == before).all()


def test_what_moderation_flagged_is_blurred_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    grid = qw.generate("a red fox", seeds="1", sizes="16:9")
    clear = np.diff(tiles(grid.sheet()).astype(int), axis=1)[80:180]
    monkeypatch.setattr(Cell, "flagged", True)
    blurred = np.diff(tiles(grid.sheet()).astype(int), axis=1)[80:180]
    assert np.abs(blurred[:, 20:230]).mean() < np.abs(clear[:, 20:230]).mean() / 2


def test_rows_of_one_prompt_say_what_tells_them_apart() -> None:
    one = qw.generate("a fox", seeds="1", sizes="1:1").sheet()
    two = qw.generate("a fox", seeds="1", sizes="1:1, 4:3").sheet()
    # The first line of both is the prompt; below it stands the ratio where there are several.
    assert not header(one, 72, 140).any()
    assert header(two, 72, 140).any()


@pytest.mark.parametrize(
    "prompt", ["一只红色的狐狸在新雪中奔跑，" * 20, "a boat " + "山" * 200, "a long way " * 70]
)
@pytest.mark.parametrize("size", ["16:9", "1:1"])
def test_a_long_prompt_stays_in_its_place_and_its_note_below_it(
    monkeypatch: pytest.MonkeyPatch, prompt: str, size: str
) -> None:
    grid = qw.generate(prompt, seeds="1", sizes=f"{size}, 9:16")
    written = []
    draw, draw_lines = ImageDraw.ImageDraw.text, ImageDraw.ImageDraw.multiline_text

    def text(pen, at, words, fill, font, **how):
        written.append((words, pen.textbbox(at, words, font, **how)))
        draw(pen, at, words, fill, font, **how)

    def lines(pen, at, words, fill, font, **how):
        written.append((words, pen.multiline_textbbox(at, words, font, **how)))
        # Pillow sets them one by one.
        with monkeypatch.context() as inside:
            inside.setattr(ImageDraw.ImageDraw, "text", draw)
            draw_lines(pen, at, words, fill, font, **how)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", text)
    monkeypatch.setattr(ImageDraw.ImageDraw, "multiline_text", lines)
    grid.sheet()
    ratios = {size, "9:16"}
    for (words, box), (ratio, below) in itertools.pairwise(written):
        if ratio in ratios:
            assert words.endswith(" …")
            assert box[2] <= RIGHT
            assert below[1] >= box[3]
            ratios.remove(ratio)
    assert not ratios


@pytest.mark.parametrize("prompt", ["סירה אדומה", "قارب أحمر"])
def test_prompts_from_the_right_stand_at_the_right_in_letters(prompt: str) -> None:
    font = sheets._font(13, prompt)
    boxes = bytes(font.getmask(sheets._NO_LETTER))
    if bytes(font.getmask(prompt[0])) == boxes:
        pytest.skip("No font of this system has the script.")
    columns = header(qw.generate(prompt, seeds="1", sizes="1:1").sheet(), 44, 80).any(axis=0)
    assert columns[-20:].any()
    assert not columns[:40].any()


def test_a_script_is_drawn_by_a_font_that_has_it() -> None:
    if len(sheets._fonts(13)) < 2:
        pytest.skip("This system has none of the fonts.")
    for prompt in ("一只猫", "سلام", "שלום"):
        best = sheets._font(13, prompt)
        for font in sheets._fonts(13):
            missing = bytes(font.getmask(sheets._NO_LETTER))
            if bytes(font.getmask(prompt[0])) != missing:
                assert bytes(best.getmask(prompt[0])) != bytes(best.getmask(sheets._NO_LETTER))
