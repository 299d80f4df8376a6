"""How buildings are drawn: house, temple, castle, lighthouse, windmill, tent and bridge."""

from __future__ import annotations

import numpy as np

from qwen_widgets.offline.painting.brush import RGB, arch, bend, line, mix, oval, poly, rotate, stroke
from qwen_widgets.offline.painting.drawing import (
    CREAM,
    INK,
    WHITE,
    Drawing,
    Figure,
    bright,
    faint,
    rect,
)


def _house(d: Drawing) -> None:
    i = d.inks
    d.add(i.accent_shade, poly((0.2, 0.7), (0.2, 1.0), (0.31, 1.0), (0.31, 0.6)))
    d.add(mix(i.accent_shade, INK, 0.3), rect(0.18, 0.98, 0.33, 1.03))
    d.add(i.body, poly((-0.42, 0.0), (-0.42, 0.5), (-0.1, 0.86), (0.22, 0.5), (0.22, 0.0)))
    for y in (0.08, 0.17, 0.26, 0.35, 0.44, 0.53, 0.62, 0.71):
        d.on(i.shade, rect(-0.5, y, 0.3, y + 0.014), opacity=0.6)
    d.add(i.shade, poly((0.22, 0.0), (0.22, 0.5), (0.56, 0.5), (0.56, 0.0)))
    for y in (0.08, 0.17, 0.26, 0.35, 0.44):
        d.on(i.deep, rect(0.2, y, 0.6, y + 0.014), opacity=0.5)
    roof = (240, 244, 250) if i.snow else i.accent
    d.add(roof, poly((-0.1, 0.92), (0.36, 0.92), (0.66, 0.46), (0.25, 0.46), (0.21, 0.44)))
    d.on(mix(roof, (60, 70, 120), 0.22), poly((0.18, 0.5), (0.7, 0.5), (0.7, 0.4), (0.18, 0.4)), opacity=0.8)
    d.add(
        mix(roof, INK, 0.12),
        poly((-0.1, 0.95), (-0.53, 0.45), (-0.47, 0.41), (-0.1, 0.84), (0.21, 0.43), (0.28, 0.46)),
    )
    d.add(i.accent_shade, bend((-0.18, 0.0), (-0.18, 0.24), (-0.1, 0.3), (-0.02, 0.24), (-0.02, 0.0)))
    d.add((240, 200, 110), oval(-0.045, 0.13, 0.012))
    for x, y, w, h in (
        (-0.34, 0.2, 0.1, 0.14),
        (0.06, 0.2, 0.1, 0.14),
        (0.33, 0.2, 0.13, 0.14),
        (-0.15, 0.5, 0.1, 0.12),
    ):
        d.add(CREAM, rect(x - 0.014, y - 0.014, x + w + 0.014, y + h + 0.014))
        d.shine(i.window, rect(x, y, x + w, y + h))
        d.add(
            CREAM,
            rect(x + w / 2 - 0.007, y, x + w / 2 + 0.007, y + h),
            rect(x, y + h / 2 - 0.006, x + w, y + h / 2 + 0.006),
        )
    d.lamp(-0.29, 0.27, 0.26)
    d.lamp(0.39, 0.27, 0.26)
    smoke = (226, 226, 232)
    for k, (x, y, r) in enumerate(((0.27, 1.1, 0.035), (0.31, 1.19, 0.05), (0.28, 1.31, 0.06))):
        d.shapes.append(faint(smoke, oval(x, y, r, r * 0.8), 0.5 - 0.12 * k))


def _temple(d: Drawing) -> None:
    i = d.inks
    d.add((150, 146, 150), rect(-0.42, 0.0, 0.42, 0.06))
    for k in range(4):
        y, half = 0.06 + 0.24 * k, 0.28 - 0.05 * k
        d.add(CREAM, rect(-half, y, half, y + 0.15))
        d.on((200, 190, 184), rect(-half, y + 0.1, half, y + 0.2))
        d.add(
            i.accent,
            *(
                rect(x - 0.013, y, x + 0.013, y + 0.15)
                for x in (-half + 0.013, -half * 0.36, half * 0.36, half - 0.013)
            ),
        )
        d.shine(
            i.window if d.inks.lamps else (120, 96, 84), rect(-half * 0.25, y + 0.02, half * 0.25, y + 0.11)
        )
        top = y + 0.15
        out = half + 0.15
        d.add(
            i.body,
            bend(
                (-out, top + 0.035),
                (-out + 0.09, top - 0.008),
                (0.0, top - 0.015),
                (out - 0.09, top - 0.008),
                (out, top + 0.035),
                (half * 0.75, top + 0.1),
                (0.0, top + 0.115),
                (-half * 0.75, top + 0.1),
            ),
        )
        d.on(
            i.shade,
            bend(
                (-out, top + 0.02), (0.0, top + 0.02), (out, top + 0.02), (out, top - 0.1), (-out, top - 0.1)
            ),
        )
        if i.snow:
            d.on(
                (244, 248, 255),
                bend(
                    (-out * 0.8, top + 0.07),
                    (0.0, top + 0.07),
                    (out * 0.8, top + 0.07),
                    (out, top + 0.3),
                    (-out, top + 0.3),
                ),
            )
    d.add((206, 170, 84), line((0.0, 1.1), (0.0, 1.28), wide=0.03, end=0.01), oval(0.0, 1.16, 0.03))
    d.lamp(0.0, 0.14, 0.3)


def _castle(d: Drawing) -> None:
    i = d.inks
    roof, flag = i.accent, mix(i.accent, (250, 80, 60), 0.4)

    def tower(x: float, half: float, top: float, tone: RGB, cone: float) -> None:
        d.add(
            tone, rect(x - half, 0.0, x + half, top), rect(x - half * 1.2, top - 0.075, x + half * 1.2, top)
        )
        d.on(mix(tone, i.shade, 0.7), rect(x + half * 0.25, -0.1, x + half * 2, top + 0.1), opacity=0.7)
        d.add(roof, poly((x - half * 1.38, top - 0.005), (x, top + cone), (x + half * 1.38, top - 0.005)))
        d.on(
            i.accent_shade,
            poly((x, top + cone + 0.1), (x + half * 0.2, top - 0.1), (x + half * 2, top - 0.1)),
        )
        if i.snow:
            d.on(
                (244, 248, 255),
                poly(
                    (x - half * 0.8, top + cone * 0.5),
                    (x, top + cone * 0.38),
                    (x + half * 0.8, top + cone * 0.5),
                    (x, top + cone * 1.4),
                ),
            )
        d.add(INK, line((x, top + cone - 0.01), (x, top + cone + 0.09), wide=0.011))
        d.add(flag, poly((x, top + cone + 0.09), (x + 0.085, top + cone + 0.065), (x, top + cone + 0.04)))

    tower(-0.2, 0.085, 0.74, i.shade, 0.2)
    tower(0.22, 0.085, 0.66, i.shade, 0.19)
    tower(0.02, 0.125, 0.9, i.body, 0.28)
    teeth = tuple(rect(-0.4 + 0.1 * k, 0.36, -0.35 + 0.1 * k, 0.42) for k in range(9))
    d.add(i.body, rect(-0.42, 0.0, 0.46, 0.37), *teeth)
    d.on(i.shade, rect(-0.5, -0.1, 0.5, 0.1), opacity=0.4)
    tower(-0.42, 0.1, 0.53, i.body, 0.22)
    tower(0.46, 0.1, 0.5, i.body, 0.21)
    d.add(i.deep, bend((-0.07, 0.0), (-0.07, 0.16), (0.02, 0.235), (0.11, 0.16), (0.11, 0.0)))
    d.add((92, 62, 48), bend((-0.05, 0.0), (-0.05, 0.15), (0.02, 0.21), (0.09, 0.15), (0.09, 0.0)))
    panes = tuple(
        bend((x - 0.017, y), (x - 0.017, y + 0.045), (x, y + 0.065), (x + 0.017, y + 0.045), (x + 0.017, y))
        for x, y in (
            (0.02, 0.7),
            (-0.03, 0.54),
            (0.07, 0.54),
            (-0.42, 0.36),
            (0.46, 0.33),
            (-0.2, 0.58),
            (0.22, 0.5),
            (-0.22, 0.2),
            (0.26, 0.2),
        )
    )
    d.shine((255, 214, 120) if i.lamps else (84, 84, 110), *panes)
    d.lamp(0.02, 0.62, 0.22)
    d.lamp(-0.22, 0.24, 0.16)
    d.lamp(0.26, 0.24, 0.16)


def _lighthouse(d: Drawing) -> None:
    i = d.inks
    rock: RGB = (92, 92, 104)
    d.add(
        rock,
        bend(
            (-0.62, -0.04),
            (-0.5, 0.06),
            (-0.34, 0.1),
            (-0.2, 0.19),
            (0.08, 0.2),
            (0.26, 0.14),
            (0.4, 0.11),
            (0.56, 0.02),
            (0.7, -0.04),
        ),
    )
    d.on(
        mix(rock, INK, 0.4),
        poly(
            (-0.7, -0.1),
            (-0.42, 0.02),
            (-0.3, -0.02),
            (-0.12, 0.06),
            (0.05, 0.0),
            (0.2, 0.07),
            (0.36, 0.0),
            (0.7, 0.0),
            (0.7, -0.2),
        ),
    )
    d.on(mix(rock, WHITE, 0.2), poly((-0.36, 0.09), (-0.2, 0.2), (0.1, 0.21), (0.0, 0.15), (-0.16, 0.14)))
    d.add(CREAM, poly((0.14, 0.16), (0.14, 0.32), (0.24, 0.39), (0.34, 0.32), (0.34, 0.12)))
    d.on((200, 190, 186), rect(0.24, 0.0, 0.4, 0.5))
    d.add(i.body, poly((0.11, 0.31), (0.24, 0.42), (0.37, 0.31)))
    d.shine(i.window, rect(0.17, 0.22, 0.225, 0.29))
    d.add(i.accent, poly((-0.17, 0.17), (-0.105, 0.9), (0.105, 0.9), (0.17, 0.17)))
    for y0, y1 in ((0.3, 0.43), (0.56, 0.68), (0.8, 0.9)):
        d.on(i.body, rect(-0.3, y0, 0.3, y1))
    d.on(
        mix(i.shade, (50, 50, 90), 0.4), poly((0.04, 0.0), (0.03, 1.0), (0.3, 1.0), (0.3, 0.0)), opacity=0.34
    )
    d.add((58, 60, 76), rect(-0.15, 0.89, 0.15, 0.925))
    d.add(
        (58, 60, 76),
        *(rect(x - 0.006, 0.92, x + 0.006, 0.975) for x in (-0.14, -0.07, 0.07, 0.14)),
        rect(-0.146, 0.968, 0.146, 0.98),
    )
    d.shapes.append(bright((255, 240, 180), rect(-0.07, 0.925, 0.07, 1.06)))
    d.add(
        (58, 60, 76),
        rect(-0.075, 0.925, -0.06, 1.06),
        rect(0.06, 0.925, 0.075, 1.06),
        rect(-0.006, 0.925, 0.006, 1.06),
    )
    d.add(i.body, bend((-0.1, 1.055), (-0.06, 1.12), (0.0, 1.16), (0.06, 1.12), (0.1, 1.055)))
    d.on(i.shade, rect(0.02, 1.0, 0.2, 1.2))
    d.add((58, 60, 76), line((0.0, 1.15), (0.0, 1.22), wide=0.014))
    d.add(i.deep, bend((-0.035, 0.18), (-0.035, 0.26), (0.0, 0.29), (0.035, 0.26), (0.035, 0.18)))
    d.shine(
        i.window,
        *(
            bend((-0.018, y), (-0.018, y + 0.04), (0.0, y + 0.055), (0.018, y + 0.04), (0.018, y))
            for y in (0.46, 0.71)
        ),
    )
    d.lamps.append((0.0, 0.99, 0.5, (255, 236, 170)))


_HUB = np.array((0.0, 0.76))


def _windmill(d: Drawing) -> None:
    i = d.inks
    d.add(i.body, poly((-0.24, 0.0), (-0.15, 0.72), (0.15, 0.72), (0.24, 0.0)))
    d.on(i.shade, poly((0.05, -0.1), (0.03, 0.8), (0.4, 0.8), (0.4, -0.1)), opacity=0.8)
    d.add(i.accent, bend((-0.18, 0.71), (-0.13, 0.85), (0.0, 0.93), (0.13, 0.85), (0.18, 0.71)))
    d.on(i.accent_shade, rect(0.04, 0.6, 0.3, 1.0))
    d.add((92, 62, 48), bend((-0.06, 0.0), (-0.06, 0.17), (0.0, 0.22), (0.06, 0.17), (0.06, 0.0)))
    d.shine(i.window, rect(-0.04, 0.36, 0.04, 0.46), rect(-0.035, 0.56, 0.035, 0.64))
    turn = float(d.rng.random()) * 60 + 15
    for k in range(4):
        arm = rotate(rect(-0.012, 0.0, 0.012, 0.56), turn + 90 * k) + _HUB
        sail = rotate(rect(0.012, 0.12, 0.12, 0.55), turn + 90 * k) + _HUB
        d.add(CREAM, sail)
        d.on(
            (206, 194, 186),
            *(rotate(rect(0.0, y, 0.13, y + 0.012), turn + 90 * k) + _HUB for y in (0.2, 0.3, 0.4, 0.5)),
        )
        d.add((92, 62, 48), arm)
    d.add((70, 48, 44), oval(0.0, 0.76, 0.034))


def _tent(d: Drawing) -> None:
    i = d.inks
    d.add(i.body, poly((-0.62, 0.0), (-0.1, 0.74), (0.2, 0.0)))
    d.add(i.shade, poly((-0.1, 0.74), (0.36, 0.7), (0.7, 0.0), (0.2, 0.0)))
    d.on(i.deep, poly((0.2, 0.0), (0.7, 0.0), (0.7, 0.1), (0.2, 0.1)), opacity=0.5)
    d.shine(
        (255, 210, 120) if i.lamps else i.deep,
        bend((-0.36, 0.0), (-0.2, 0.26), (-0.115, 0.56), (-0.06, 0.26), (0.0, 0.0)),
    )
    d.add(i.light, poly((-0.115, 0.58), (-0.2, 0.2), (-0.4, 0.0), (-0.34, 0.0), (-0.16, 0.2)))
    d.add(
        INK,
        line((-0.1, 0.73), (-0.1, 0.82), wide=0.018),
        line((0.36, 0.69), (0.37, 0.77), wide=0.016),
        line((-0.62, 0.0), (-0.74, -0.03), wide=0.012),
    )
    d.lamp(-0.16, 0.2, 0.42)


def _bridge(d: Drawing) -> None:
    i = d.inks
    road = arch(0.0, -0.2, 1.5, 0.62, 162, 18, 30)
    under = arch(0.0, -0.2, 1.5, 0.52, 18, 162, 30)
    d.add(i.body, np.concatenate((road, under)))
    d.on(
        i.shade,
        np.concatenate((arch(0.0, -0.24, 1.5, 0.6, 162, 18, 30), arch(0.0, -0.3, 1.5, 0.5, 18, 162, 30))),
        opacity=0.7,
    )
    for x in (-0.9, -0.3, 0.3, 0.9):
        top = 0.32 - 0.24 * x * x
        d.add(i.shade, rect(x - 0.05, -0.14, x + 0.05, top))
        d.add(i.deep, rect(x - 0.07, -0.16, x + 0.07, -0.08))
    posts = [(-1.32 + 0.22 * k) for k in range(13)]
    d.add(i.accent, *(rect(x - 0.014, 0.4 - 0.22 * x * x, x + 0.014, 0.56 - 0.22 * x * x) for x in posts))
    d.add(i.accent, stroke(arch(0.0, -0.06, 1.5, 0.62, 162, 18, 30), 0.03))


BUILDINGS: dict[str, Figure] = {
    "house": Figure(_house, 0.25, "built", (190, 128, 86), (150, 72, 62)),
    "temple": Figure(_temple, 0.32, "built", (86, 96, 112), (190, 56, 46)),
    "castle": Figure(_castle, 0.36, "built", (206, 198, 196), (74, 92, 158)),
    "lighthouse": Figure(_lighthouse, 0.44, "built", (206, 54, 46), (248, 244, 236)),
    "windmill": Figure(_windmill, 0.3, "built", (240, 230, 214), (162, 78, 62)),
    "tent": Figure(_tent, 0.22, "ground", (240, 146, 54), (250, 244, 232)),
    "bridge": Figure(_bridge, 0.24, "span", (196, 170, 146), (170, 64, 52)),
}
