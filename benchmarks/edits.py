"""What an edit costs on the embedded service: decode the picture, change it, encode the result.

    python benchmarks/edits.py [SIDE] [SHEET.png]

Every edit is done once, on one thread, to a painted picture of SIDE × SIDE pixels (1024 where none is named). With a second
name the original and the edits are written there as a contact sheet.
"""

from __future__ import annotations

import io
import statistics
import sys
import time

from PIL import Image

from qwen_widgets.offline.editor import edit, open_picture
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
    times: list[float] = []
    pictures = [original]
    print(f"{side} × {side} pixels, seed {SEED}, milliseconds of one processor\n")
    print(f"{'decode':>8}{'edit':>8}{'encode':>8}  words")
    for words in EDITS:
        start = time.process_time()
        picture = open_picture(buffer.getvalue())
        decoded = time.process_time()
        result = edit(words, [picture], None, SEED)
        edited = time.process_time()
        result.save(io.BytesIO(), "PNG", compress_level=3)
        end = time.process_time()
        times.append(1e3 * (edited - decoded))
        print(f"{1e3 * (decoded - start):>8.0f}{times[-1]:>8.0f}{1e3 * (end - edited):>8.0f}  {words}")
        pictures.append(result)
    print(f"{'':>8}{statistics.median(times):>8.0f}{'':>8}  median, {max(times):.0f} at most")
    start = time.process_time()
    large = paint(PROMPT, LARGE, SEED)
    painted = time.process_time()
    edit("at night", [large], LARGE, SEED)
    print(
        f"\n{LARGE[0]} × {LARGE[1]} pixels: {1e3 * (painted - start):.0f} ms to paint, "
        f"{1e3 * (time.process_time() - painted):.0f} ms to edit"
    )
    if len(sys.argv) > 2:
        _sheet(pictures).save(sys.argv[2])


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
