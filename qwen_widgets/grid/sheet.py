"""The contact sheet: a grid as one picture with labels."""

from __future__ import annotations

import math
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageDraw, ImageFilter, ImageFont, features

from qwen_widgets.core import pictures
from qwen_widgets.core.errors import DamagedError
from qwen_widgets.grid.choices import Choice
from qwen_widgets.grid.describe import describe
from qwen_widgets.grid.files import read_cell, warn_of_damage
from qwen_widgets.grid.recipe import seed_text

if TYPE_CHECKING:
    from qwen_widgets.grid.grid import Cell, Grid

_TILE = 256
_GAP = 6
_PAPER, _INK, _QUIET, _EMPTY = "#ffffff", "#1c2024", "#60646c", "#f0f1f3"
_BADGE, _STAR = "#202428", "#ffc83d"
#: Pillow's own font is Latin; of these, where the system has them, the first that knows the most letters is taken.
_FONTS = (
    "NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "PingFang.ttc", "msyh.ttc", "wqy-microhei.ttc",
    "NotoSansArabic-Regular.ttf", "NotoSansHebrew-Regular.ttf", "NotoSansDevanagari-Regular.ttf",
    "DejaVuSans.ttf", "arial.ttf", "Arial Unicode.ttf", "Arial.ttf",
)  # fmt: skip
#: What every font draws as a box: no letter has this place.
_NO_LETTER = "\U0010fffd"

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_sheet(grid: Grid, *, scale: float = 1.0) -> Image.Image:
    """Draw all stored pictures with their prompts and seeds.

    Parameters
    ----------
    scale : float
        1 makes tiles of 256 pixels on their longer side; 0.25 to 4.
    """
    sweep = grid.sweep
    unit = scale * _TILE
    gap = round(_GAP * scale)
    margin = round(16 * scale)
    lead = round(4 * scale)
    small = _font(round(12 * scale), "")
    header = round(170 * scale)
    widths = [round(unit * min(1.0, _widest(grid))) for _ in sweep.seeds]
    heights = [round(unit * row.size.height / max(row.size)) for row in sweep.rows]
    top = margin + round((34 if grid.title else 6) * scale) + round(22 * scale)
    page = Image.new(
        "RGB",
        (
            2 * margin + header + gap + sum(widths) + gap * (len(widths) - 1),
            top + sum(heights) + gap * len(heights) + margin + round(18 * scale),
        ),
        _PAPER,
    )
    pen = ImageDraw.Draw(page)
    if grid.title:
        pen.text((margin, margin), grid.title, _INK, font=_font(round(17 * scale), grid.title))
    lefts = [margin + header + gap + sum(widths[:c]) + gap * c for c in range(len(widths))]
    tops = [top + sum(heights[:r]) + gap * r for r in range(len(heights))]
    for left, seed in zip(lefts, sweep.seeds, strict=True):
        pen.text((left, top - round(20 * scale)), seed_text(seed), _QUIET, font=small)
    for r, row in enumerate(describe(grid).rows):
        font = _font(round(13 * scale), row.prompt)
        # As Pillow sets several lines: the height of an A, and what is between.
        line = pen.textbbox((0, 0), "A", font=font)[3] + lead
        most = max(1, int((heights[r] + lead - (22 * scale if row.note else 0)) // line))
        text = "\n".join(_wrap(pen, row.prompt, font, header - gap, most=most))
        place, turn = (margin, tops[r]), dict[str, Any]()
        if _from_the_right(row.prompt):
            place = (margin + header - gap, tops[r])
            turn = {"anchor": "ra", "align": "right"} | ({"direction": "rtl"} if _lays_out() else {})
        pen.multiline_text(place, text, _INK, font=font, spacing=lead, **turn)
        if row.note:
            below = pen.multiline_textbbox(place, text, font=font, spacing=lead, **turn)[3]
            pen.text((margin, below + lead), row.note, _QUIET, font=small)
    damaged: list[Cell] = []
    for cell in grid:
        box = (lefts[cell.column], tops[cell.row], widths[cell.column], heights[cell.row])
        data = b""
        if cell.path is not None:
            try:
                data = read_cell(cell)
            except DamagedError:
                damaged.append(cell)
        if not data:
            pen.rectangle((box[0], box[1], box[0] + box[2] - 1, box[1] + box[3] - 1), fill=_EMPTY)
            title = cell.error.title if cell.error is not None else cell.state
            pen.text((box[0] + 2 * gap, box[1] + 2 * gap), title, _QUIET, font=small)
            continue
        image = pictures.load(data).convert("RGB")
        image.thumbnail((box[2], box[3]), Image.Resampling.LANCZOS)
        if cell.flagged:
            image = image.filter(ImageFilter.GaussianBlur(max(image.size) / 16))
        choice = grid.choices[cell.row, cell.column]
        if choice.mark == "reject":
            image = Image.blend(Image.new("RGB", image.size, _PAPER), image, 0.3)
        left = box[0] + (box[2] - image.width) // 2
        high = box[1] + (box[3] - image.height) // 2
        page.paste(image, (left, high))
        _draw_choice(pen, choice, (left + image.width - gap, high + gap), scale)
    # Pillow's own font has no multiplication sign.
    foot = " · ".join(
        (
            *(model.title for model in sweep.models),
            *(f"{size.width}x{size.height}" for size in sweep.sizes),
            grid.provider.title,
        )
    )
    pen.text((margin, page.height - margin - round(8 * scale)), foot, _QUIET, font=small)
    warn_of_damage("sheet", damaged, "their places say so")
    return page


def _widest(grid: Grid) -> float:
    """Return the largest width of a picture as a part of its longer side."""
    return max(row.size.width / max(row.size) for row in grid.sweep.rows)


def _draw_choice(pen: ImageDraw.ImageDraw, choice: Choice, corner: tuple[int, int], scale: float) -> None:
    """Draw a check for what is kept, and the stars, on a badge whose upper right corner is given."""
    signs = ["keep"] * (choice.mark == "keep") + ["star"] * choice.stars
    if not signs:
        return
    size = 12 * scale
    right, top = corner
    left = right - size * (len(signs) + 0.5)
    pen.rounded_rectangle((left, top, right, top + 1.3 * size), 3 * scale, fill=_BADGE)
    for at, sign in enumerate(signs):
        x, y = left + size * (at + 0.75), top + 0.65 * size
        if sign == "keep":
            check = [
                (x - 0.32 * size, y),
                (x - 0.08 * size, y + 0.26 * size),
                (x + 0.36 * size, y - 0.28 * size),
            ]
            pen.line(check, fill=_PAPER, width=max(1, round(1.5 * scale)))
            continue
        turns = [(math.pi * (point / 5 - 0.5), (0.46, 0.19)[point % 2] * size) for point in range(10)]
        pen.polygon([(x + far * math.cos(turn), y + far * math.sin(turn)) for turn, far in turns], fill=_STAR)


def _from_the_right(text: str) -> bool:
    """Return whether a text runs from right to left: its first letter with a direction says so."""
    kinds = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind for kind in kinds if kind in ("L", "R", "AL")), "L") != "L"


@lru_cache(maxsize=1)
def _lays_out() -> bool:
    """Return whether Pillow can shape and turn Arabic and Hebrew: its wheels can."""
    return bool(features.check("raqm"))


@lru_cache(maxsize=32)
def _fonts(size: int) -> tuple[Font, ...]:
    found: list[Font] = [ImageFont.load_default(size)]
    for name in _FONTS:
        try:
            found.append(ImageFont.truetype(name, size))
        except OSError:
            continue
    return tuple(found)


@lru_cache(maxsize=1024)
def _font(size: int, text: str) -> Font:
    """Return the font for a text: Pillow's own, or the first of the system's that draws the most of its letters."""
    size = max(8, size)
    letters = {letter for letter in text if ord(letter) >= 0x250 and not letter.isspace()}
    if not letters:
        return ImageFont.load_default(size)

    def drawn(font: Font) -> int:
        missing = bytes(font.getmask(_NO_LETTER))
        return sum(bytes(font.getmask(letter)) != missing for letter in letters)

    return max(_fonts(size), key=drawn)


def _wrap(pen: ImageDraw.ImageDraw, text: str, font: Font, width: int, *, most: int) -> list[str]:
    """Break a text into lines of at most `width` pixels; what is over `most` lines ends in an ellipsis."""

    def fits(line: str) -> bool:
        return pen.textlength(line, font=font) <= width

    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".lstrip()
        if fits(longer):
            lines[-1] = longer
        elif fits(word):
            lines.append(word)
        else:
            # A script without blanks breaks anywhere.
            for letter in longer[len(lines[-1]) :]:
                if fits(lines[-1] + letter):
                    lines[-1] += letter
                else:
                    lines.append(letter.strip())
        if len(lines) > most:
            last = lines[most - 1]
            while last and not fits(f"{last} …"):
                last = last[:-1].rstrip()
            return [*lines[: most - 1], f"{last} …"]
    return lines
