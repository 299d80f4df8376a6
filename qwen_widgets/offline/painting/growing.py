"""How one plant that is a subject of its own is drawn: tree, palm, cactus, flower and mushroom."""

from __future__ import annotations

import numpy as np

from qwen_widgets.offline.painting.brush import RGB, bend, line, mix, oval, rotate
from qwen_widgets.offline.painting.drawing import (
    INK,
    WHITE,
    Drawing,
    Figure,
    rect,
)


def _tree(d: Drawing) -> None:
    i = d.inks
    bark = i.accent
    d.add(
        bark,
        bend(
            (-0.14, 0.0),
            (-0.055, 0.06),
            (-0.05, 0.3),
            (-0.03, 0.46),
            (0.03, 0.46),
            (0.05, 0.3),
            (0.06, 0.06),
            (0.15, 0.0),
            (0.0, -0.015),
        ),
        line((0.0, 0.34), (0.12, 0.46), (0.2, 0.56), wide=0.05, end=0.02),
        line((-0.02, 0.3), (-0.14, 0.44), (-0.2, 0.52), wide=0.045, end=0.02),
    )
    d.on(i.accent_shade, bend((0.0, -0.05), (0.01, 0.2), (0.01, 0.5), (0.1, 0.5), (0.2, 0.0)))
    places = (
        (-0.26, 0.56, 0.17),
        (0.27, 0.58, 0.17),
        (-0.14, 0.76, 0.19),
        (0.16, 0.77, 0.19),
        (0.0, 0.6, 0.22),
        (0.01, 0.88, 0.16),
    )
    moves = ((d.rng.random((6, 2)) - 0.5) * 0.07).tolist()
    blobs = [(x + a, y + b, r) for (x, y, r), (a, b) in zip(places, moves, strict=True)]
    d.add(i.shade, *(oval(x, y, r, r * 0.94) for x, y, r in blobs))
    d.on(i.body, *(oval(x - 0.015, y + 0.04, r * 0.92, r * 0.84) for x, y, r in blobs))
    d.on(i.light, *(oval(x - r * 0.2, y + r * 0.42, r * 0.56, r * 0.4) for x, y, r in blobs), opacity=0.75)
    for x, y in (d.rng.random((14, 2)) - 0.5).tolist():
        d.on(i.light, oval(x * 0.66, 0.68 + y * 0.46, 0.022, 0.016), opacity=0.6)


def _palm(d: Drawing) -> None:
    i = d.inks
    d.add((150, 112, 78), line((0.02, 0.0), (-0.06, 0.26), (-0.03, 0.54), (0.08, 0.8), wide=0.085, end=0.05))
    for k in range(7):
        y = 0.1 + 0.1 * k
        d.on((112, 80, 60), rect(-0.2, y, 0.2, y + 0.014))
    fronds = (
        (-0.5, 0.74, -0.26, 0.98),
        (0.6, 0.72, 0.38, 0.98),
        (-0.36, 0.54, -0.26, 0.82),
        (0.46, 0.52, 0.38, 0.82),
        (-0.24, 1.06, -0.1, 1.04),
        (0.4, 1.05, 0.26, 1.05),
    )
    for k, (x, y, mx, my) in enumerate(fronds):
        d.add(
            i.shade if k % 2 else i.body,
            bend((0.08, 0.84), (mx, my), (x, y), (mx * 0.95 + 0.01, my - 0.09), (0.08, 0.78)),
        )
        d.on(i.light, line((0.08, 0.81), (mx, my - 0.03), (x, y), wide=0.012), opacity=0.6)
    d.add((124, 76, 48), oval(0.04, 0.77, 0.036), oval(0.11, 0.765, 0.036))


def _cactus(d: Drawing) -> None:
    i = d.inks
    d.add(
        i.body,
        line((0.0, 0.0), (0.0, 0.92), wide=0.2),
        oval(0.0, 0.92, 0.1),
        line((0.0, 0.34), (-0.2, 0.36), (-0.25, 0.46), (-0.25, 0.66), wide=0.125),
        oval(-0.25, 0.66, 0.0625),
        line((0.0, 0.46), (0.2, 0.48), (0.25, 0.56), (0.25, 0.78), wide=0.125),
        oval(0.25, 0.78, 0.0625),
    )
    d.on(
        i.shade,
        rect(0.03, -0.1, 0.13, 1.1),
        rect(0.26, 0.4, 0.4, 1.0),
        rect(-0.235, 0.4, -0.16, 0.8),
        opacity=0.8,
    )
    d.on(
        i.light,
        rect(-0.07, 0.0, -0.05, 0.96),
        rect(-0.29, 0.42, -0.275, 0.68),
        rect(0.21, 0.5, 0.225, 0.8),
    )
    d.add(
        i.accent,
        oval(-0.03, 1.02, 0.04),
        oval(0.035, 1.025, 0.042),
        oval(0.0, 1.05, 0.04),
        oval(0.25, 0.85, 0.035),
    )


# The middle of a flower's petals.
_HEART = np.array((0.0, 0.76))


def _flower(d: Drawing) -> None:
    i = d.inks
    green: RGB = (84, 142, 74)
    bend_x = float(d.rng.random()) * 0.1 - 0.05
    d.add(green, line((0.0, 0.0), (bend_x, 0.34), (0.0, 0.7), wide=0.034))
    d.add(green, bend((0.0, 0.14), (-0.12, 0.24), (-0.25, 0.4), (-0.2, 0.2), (-0.06, 0.08)))
    d.add(mix(green, INK, 0.2), bend((0.0, 0.18), (0.13, 0.3), (0.26, 0.44), (0.21, 0.24), (0.06, 0.12)))
    petal = bend((0.0, 0.03), (-0.085, 0.14), (-0.05, 0.25), (0.0, 0.265), (0.05, 0.25), (0.085, 0.14))
    for k in range(8):
        d.add(i.shade if k % 2 else i.body, rotate(petal, 45.0 * k + 22) * (1.0, 0.92) + _HEART)
    for k in range(8):
        d.add(i.body if k % 2 else i.light, rotate(petal * (0.72, 0.74), 45.0 * k) * (1.0, 0.92) + _HEART)
    d.add(i.accent, oval(0.0, 0.76, 0.088, 0.08))
    d.on(i.accent_shade, oval(0.02, 0.735, 0.08, 0.06))


def _mushroom(d: Drawing) -> None:
    i = d.inks
    d.add(
        i.accent,
        bend(
            (-0.13, 0.0), (-0.09, 0.2), (-0.085, 0.46), (0.085, 0.46), (0.09, 0.2), (0.14, 0.0), (0.0, -0.02)
        ),
    )
    d.on(i.accent_shade, bend((0.02, -0.05), (0.03, 0.3), (0.0, 0.5), (0.2, 0.5), (0.2, 0.0)))
    d.add(mix(i.accent, (214, 180, 150), 0.45), oval(0.0, 0.47, 0.36, 0.075))
    d.add(
        i.body,
        bend(
            (-0.43, 0.46),
            (-0.4, 0.66),
            (-0.22, 0.88),
            (0.0, 0.95),
            (0.22, 0.88),
            (0.4, 0.66),
            (0.43, 0.46),
            (0.22, 0.5),
            (0.0, 0.515),
            (-0.22, 0.5),
        ),
    )
    d.on(i.shade, bend((0.1, 0.96), (0.24, 0.74), (0.2, 0.48), (0.5, 0.4), (0.5, 0.9)), opacity=0.8)
    d.on(
        WHITE,
        oval(-0.2, 0.72, 0.075, 0.06, 30),
        oval(0.04, 0.82, 0.075, 0.055),
        oval(0.1, 0.61, 0.06, 0.05),
        oval(-0.32, 0.54, 0.045, 0.035),
        oval(0.29, 0.65, 0.05, 0.05),
        oval(-0.08, 0.58, 0.035, 0.03),
    )


GROWING: dict[str, Figure] = {
    "tree": Figure(_tree, 0.46, "ground", (92, 150, 70), (104, 74, 56)),
    "palm": Figure(_palm, 0.42, "ground", (76, 150, 84), (120, 80, 60)),
    "cactus": Figure(_cactus, 0.3, "ground", (86, 146, 96), (240, 110, 140)),
    "flower": Figure(_flower, 0.26, "ground", (236, 92, 120), (250, 200, 70)),
    "mushroom": Figure(_mushroom, 0.24, "ground", (208, 50, 44), (250, 240, 224)),
}
