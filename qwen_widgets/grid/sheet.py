"""The contact sheet: a grid as one picture with labels."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from qwen_widgets.core import pictures
from qwen_widgets.core.errors import InputError
from qwen_widgets.grid.recipe import seed_text

if TYPE_CHECKING:
    from qwen_widgets.grid.grid import Grid

_TILE = 256
_GAP = 6
_PAPER, _INK, _QUIET, _EMPTY = "#ffffff", "#1c2024", "#60646c", "#f0f1f3"
#: Pillow's own font has no Chinese; where the system has one of these, it is used.
_FONTS = ("NotoSansCJK-Regular.ttc", "NotoSansSC-Regular.otf", "PingFang.ttc", "msyh.ttc", "wqy-microhei.ttc")

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_sheet(grid: Grid, *, scale: float = 1.0) -> Image.Image:
    """Draw all stored pictures with their prompts and seeds.

    Parameters
    ----------
    scale : float
        1 makes tiles of 256 pixels on their longer side; 0.25 to 4.
    """
    if not 0.25 <= scale <= 4:
        raise InputError(f"sheet: scale {scale} is outside of 0.25 to 4.")
    sweep = grid.sweep
    unit = scale * _TILE
    gap = round(_GAP * scale)
    margin = round(16 * scale)
    small, normal, large = (_font(round(size * scale), sweep.prompts) for size in (12, 13, 17))
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
        pen.text((margin, margin), grid.title, _INK, font=large)
    lefts = [margin + header + gap + sum(widths[:c]) + gap * c for c in range(len(widths))]
    tops = [top + sum(heights[:r]) + gap * r for r in range(len(heights))]
    for left, seed in zip(lefts, sweep.seeds, strict=True):
        pen.text((left, top - round(20 * scale)), seed_text(seed), _QUIET, font=small)
    for r, row in enumerate(sweep.rows):
        lines = _wrap(
            pen, row.prompt, normal, header - gap, most=max(1, round(heights[r] / (18 * scale)) - 1)
        )
        pen.multiline_text((margin, tops[r]), "\n".join(lines), _INK, font=normal, spacing=round(4 * scale))
    for cell in grid:
        box = (lefts[cell.column], tops[cell.row], widths[cell.column], heights[cell.row])
        path = cell.path
        if path is None:
            pen.rectangle((box[0], box[1], box[0] + box[2] - 1, box[1] + box[3] - 1), fill=_EMPTY)
            title = cell.error.title if cell.error is not None else cell.state
            pen.text((box[0] + 2 * gap, box[1] + 2 * gap), title, _QUIET, font=small)
            continue
        image = pictures.load(path).convert("RGB")
        image.thumbnail((box[2], box[3]), Image.Resampling.LANCZOS)
        page.paste(image, (box[0] + (box[2] - image.width) // 2, box[1] + (box[3] - image.height) // 2))
    # Pillow's own font has no multiplication sign.
    foot = " · ".join(
        (
            *(model.title for model in sweep.models),
            *(f"{size.width}x{size.height}" for size in sweep.sizes),
            grid.provider.title,
        )
    )
    pen.text((margin, page.height - margin - round(8 * scale)), foot, _QUIET, font=small)
    return page


def _widest(grid: Grid) -> float:
    """Return the largest width of a picture as a part of its longer side."""
    return max(row.size.width / max(row.size) for row in grid.sweep.rows)


@lru_cache(maxsize=32)
def _find_font(size: int, *, latin: bool) -> Font:
    for name in () if latin else _FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)


def _font(size: int, texts: tuple[str, ...]) -> Font:
    return _find_font(max(8, size), latin=all(ord(letter) < 0x250 for text in texts for letter in text))


def _wrap(pen: ImageDraw.ImageDraw, text: str, font: Font, width: int, *, most: int) -> list[str]:
    """Break a text into lines of at most `width` pixels; what is over `most` lines ends in an ellipsis."""
    lines: list[str] = []
    line = ""
    # A script without blanks breaks anywhere.
    for word in text.split(" ") if " " in text else list(text):
        glue = " " if line and " " in text else ""
        if not line or pen.textlength(line + glue + word, font=font) <= width:
            line += glue + word
            continue
        lines.append(line)
        line = word
    lines.append(line)
    if len(lines) > most:
        lines = [*lines[: most - 1], lines[most - 1] + " …"]
    return lines
