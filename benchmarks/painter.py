"""How quickly the embedded service paints, beside what encoding the same picture as PNG takes.

    python benchmarks/painter.py [SIDE]

Every picture is painted and encoded once, on one thread; the pictures that a run makes at the same time share the
machine's cores.
"""

from __future__ import annotations

import io
import statistics
import sys
import time

from qwen_widgets.offline.painter import paint

PROMPTS = (
    "a red fox in fresh snow, golden hour",
    "a lighthouse in a storm at night",
    "two cats on a window sill, morning",
    "an astronaut riding a horse on the moon",
    "a forest in autumn, watercolour",
    "a street in the rain at night, neon",
    "a sailing boat on a calm sea at sunset",
    "desert dunes under a full moon",
    "a teapot and three apples on a table, oil painting",
    "a whale deep in the sea",
    "mountains in the mist, ink",
    "一只红色的狐狸在雪地里",
    "words that nobody has ever drawn before",
)
SEED = 7
#: As the embedded service encodes.
COMPRESS_LEVEL = 3


def main() -> None:
    """Paint every prompt, and print one row each and the medians."""
    side = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    paint("a picture before the first", (256, 256), SEED)  # what is computed once, is computed here
    painted: list[float] = []
    encoded: list[float] = []
    print(f"{side} × {side} pixels, seed {SEED}, milliseconds\n")
    print(f"{'paint':>8}{'encode':>8}{'ratio':>8}  prompt")
    for prompt in PROMPTS:
        start = time.perf_counter()
        image = paint(prompt, (side, side), SEED)
        middle = time.perf_counter()
        image.save(io.BytesIO(), "PNG", compress_level=COMPRESS_LEVEL)
        end = time.perf_counter()
        painted.append(1e3 * (middle - start))
        encoded.append(1e3 * (end - middle))
        print(f"{painted[-1]:>8.0f}{encoded[-1]:>8.0f}{painted[-1] / encoded[-1]:>8.1f}  {prompt}")
    paint_median, encode_median = statistics.median(painted), statistics.median(encoded)
    print(f"{paint_median:>8.0f}{encode_median:>8.0f}{paint_median / encode_median:>8.1f}  median")
    a_second = 1e3 * len(PROMPTS) / (sum(painted) + sum(encoded))
    print(f"\n{a_second:.1f} pictures a second, painted and encoded")


if __name__ == "__main__":
    main()
