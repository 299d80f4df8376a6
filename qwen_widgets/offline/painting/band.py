"""The band below an offline preview, which says what it is, in a lettering of its own."""

from __future__ import annotations

import hashlib

import numpy as np
from PIL import Image

_TEXT = "offline preview"
# Each letter is a grid of 5 columns and 9 rows (the last two below the line); no font, so no font's differences.
_LETTERS: dict[str, tuple[str, ...]] = {
    "o": ("", "", " ### ", "#   #", "#   #", "#   #", " ### "),
    "f": ("  ## ", " #   ", "#### ", " #   ", " #   ", " #   ", " #   "),
    "l": ("# ", "# ", "# ", "# ", "# ", "# ", "# "),
    "i": ("#", "", "#", "#", "#", "#", "#"),
    "n": ("", "", "#### ", "#   #", "#   #", "#   #", "#   #"),
    "e": ("", "", " ### ", "#   #", "#####", "#    ", " ####"),
    "p": ("", "", "#### ", "#   #", "#   #", "#   #", "#### ", "#    ", "#    "),
    "r": ("", "", "# ##", "##  ", "#   ", "#   ", "#   "),
    "v": ("", "", "#   #", "#   #", "#   #", " # # ", "  #  "),
    "w": ("", "", "#   #", "#   #", "# # #", "# # #", " # # "),
    " ": ("   ",),
}  # fmt: skip
_ROWS = 9


def band_height(width: int, height: int) -> int:
    """Give the height of the band in pixels: 3.6 % of the height, less in a very tall picture, at least 14."""
    return max(14, round(min(height, 1.4 * width) * 0.036))


def _lettering(width: int, height: int) -> tuple[Image.Image, tuple[int, int]]:
    """Give the letters of the band and where in the picture they stand."""
    high = band_height(width, height)
    text = Image.fromarray(_letters())
    # Whole multiples of the letters' own size, so that every stroke is crisp.
    times = max(1, round(high * 0.7 / text.height))
    while times > 1 and text.width * times > width * 0.62:
        times -= 1
    wide, tall = text.width * times, text.height * times
    mask = text.resize((wide, tall), Image.Resampling.NEAREST)
    return mask, (max(4, high // 2), height - high + (high - tall) // 2 + max(0, tall // 12))


def has_band(picture: Image.Image) -> bool:
    """Tell whether a picture of its own size bears the band: light letters, dark between them."""
    mask, (left, top) = _lettering(*picture.size)
    grey = picture.crop((left, top, left + mask.width, top + mask.height)).convert("L")
    letters = np.asarray(mask) > 127
    shown = np.asarray(grey)
    return bool(shown[letters].mean() > 200 and shown[~letters].mean() < 130)


def add_band(picture: Image.Image, residue: str) -> None:
    """Lay the band over the foot of a picture.

    Parameters
    ----------
    picture
        The picture; it is changed.
    residue
        A digest of the words that the painter doesn't draw; it becomes a few coloured ticks, so that two prompts
        never look the same.
    """
    width, height = picture.size
    high = band_height(width, height)
    top = height - high
    picture.paste((14, 16, 24), (0, top, width, height), Image.new("L", (width, high), 172))
    mask, at = _lettering(width, height)
    picture.paste((240, 242, 246), at, mask)
    _ticks(picture, residue, top, high, mask.width)


def _letters() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    columns: list[list[int]] = []
    for letter in _TEXT:
        rows = _LETTERS[letter]
        across = max(len(row) for row in rows)
        grid = [row.ljust(across) for row in (*rows, *[""] * (_ROWS - len(rows)))]
        columns += [[255 if row[x] == "#" else 0 for row in grid] for x in range(across)]
        columns.append([0] * _ROWS)
    return np.ascontiguousarray(np.array(columns[:-1], dtype=np.uint8).T)


def _ticks(picture: Image.Image, residue: str, top: int, high: int, text: int) -> None:
    if not residue:
        return
    numbers = hashlib.sha256(residue.encode()).digest()
    side = max(3, high // 4)
    gap = max(1, side // 2)
    right = picture.width - max(4, high // 2)
    room = right - (max(4, high // 2) + text + side)
    count = min(8, max(3, room // (side + gap)))
    for k in range(count):
        x = right - (k + 1) * (side + gap) + gap
        tone = tuple(90 + numbers[3 * k + c] * 5 // 8 for c in range(3))
        y = top + (high - side) // 2
        picture.paste((tone[0], tone[1], tone[2]), (x, y, x + side, y + side))
