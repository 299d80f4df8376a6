"""What an edit costs on the embedded service: decode the picture, change it, encode the result.

    python benchmarks/edits.py [SIDE] [SHEET.png]

Every edit is done on one thread, to a painted picture of SIDE × SIDE pixels (1024 where none is named): once to a file
that says what it was painted from, so that it is painted anew, and once to one that doesn't, so that it is changed by its
pixels. With a second name the originals and both kinds of edits are written there as a contact sheet.
"""

from __future__ import annotations

import io
import statistics
import sys
import time

from PIL import Image

from qwen_widgets.offline import origin
from qwen_widgets.offline.editor import edit, open_picture
from qwen_widgets.offline.origin import Origin
from qwen_widgets.offline.painter import paint

EDITS = (
    "the same boat at night",
    "at golden hour",
    "in autumn, in the morning mist",
    "make it winter, snow is falling",
    "in the rain",
    "make the boat blue",
    "add a red fox",
    "replace the boat with a swan",
    "remove the boat",
    "blur the background",
    "as a watercolour",
    "black and white, more contrast",
    "夜晚，满月",
    "words that nobody has ever edited by",
)
PROMPT = "a red boat on a mountain lake at noon"
SEED = 2
LARGE = (2048, 2048)


def main() -> None:
    """Do every edit, and print one row each and the medians."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    original = paint(PROMPT, (side, side), SEED)
    buffer = io.BytesIO()
    original.save(buffer, "PNG")
    edit("at night", [original.resize((128, 128))], None, SEED)  # what is computed once, is computed here
    files = (origin.embed(buffer.getvalue(), Origin(PROMPT, (side, side), SEED)), buffer.getvalue())
    times: tuple[list[float], list[float]] = ([], [])
    pictures: tuple[list[Image.Image], list[Image.Image]] = ([original], [original])
    print(f"{side} × {side} pixels, seed {SEED}, milliseconds of one processor\n")
    print(f"{'painted anew':>14}{'by its pixels':>15}  words")
    for words in EDITS:
        for file, taken, made in zip(files, times, pictures, strict=True):
            start = time.process_time()
            made.append(edit(words, [open_picture(file)], None, SEED))
            made[-1].save(io.BytesIO(), "PNG", compress_level=3)
            taken.append(1e3 * (time.process_time() - start))
        print(f"{times[0][-1]:>14.0f}{times[1][-1]:>15.0f}  {words}")
    anew, by_pixels = map(statistics.median, times)
    print(f"{anew:>14.0f}{by_pixels:>15.0f}  median ({by_pixels / anew:.1f} times as long)")
    start = time.process_time()
    large = paint(PROMPT, LARGE, SEED)
    painted = time.process_time()
    edit("at night", [large], LARGE, SEED)
    print(
        f"\n{LARGE[0]} × {LARGE[1]} pixels: {1e3 * (painted - start):.0f} ms to paint, "
        f"{1e3 * (time.process_time() - painted):.0f} ms to edit"
    )
    if len(sys.argv) > 2:
        _sheet([*pictures[0], *pictures[1]]).save(sys.argv[2])


def _sheet(pictures: list[Image.Image]) -> Image.Image:
    side, across = 384, 5
    sheet = Image.new("RGB", (side * across, side * -(-len(pictures) // across)), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(
            picture.resize((side - 6, side - 6)), (side * (number % across), side * (number // across))
        )
    return sheet


if __name__ == "__main__":
    main()
