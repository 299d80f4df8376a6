"""Places where nobody takes a walk: space, the moon, the bottom of the sea."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from qwen_widgets.offline.painting import land, sky
from qwen_widgets.offline.painting.brush import (
    RGB,
    Points,
    bend,
    bytes_of,
    cloud_noise,
    coverage,
    fill,
    glow,
    lay,
    mix,
    oval,
    rows_image,
    stroke,
    wash,
)
from qwen_widgets.offline.painting.outdoors import Spots
from qwen_widgets.offline.painting.stage import Stage

_PLANETS: tuple[tuple[RGB, RGB], ...] = (
    ((226, 156, 96), (250, 214, 160)), ((96, 140, 210), (170, 210, 240)), ((180, 96, 130), (236, 166, 170)),
    ((90, 168, 150), (190, 230, 190)), ((200, 120, 80), (240, 180, 120)),
)  # fmt: skip
_NEBULAE: tuple[tuple[RGB, RGB], ...] = (
    ((150, 60, 170), (60, 110, 220)),
    ((220, 90, 120), (90, 70, 200)),
    ((40, 150, 170), (120, 70, 190)),
    ((230, 130, 90), (130, 50, 140)),
)


def paint_space(stage: Stage) -> Spots:
    """Paint stars, a nebula and planets."""
    unit, width, height = stage.unit, stage.width, stage.height
    rng = stage.stream("space")
    a, b, c, d = rng.random(4).tolist()
    stage.picture.paste(
        rows_image([(0.0, (10, 12, 36)), (0.55, (22, 20, 58)), (1.0, (12, 10, 34))], stage.picture.size)
    )
    one, other = _NEBULAE[int(a * len(_NEBULAE))]
    if stage.scene.ambience is not None:
        one = stage.scene.ambience
    rows, columns = max(8, height // 6), max(8, width // 6)
    x, y = np.arange(columns) / columns, (np.arange(rows) / rows)[:, None]
    for k, hue in enumerate((one, other)):
        noise = cloud_noise(rng, (rows, columns), (2.6 * height / unit, 2.6 * stage.wide), 5, 0.55)
        lane = np.clip(1.0 - np.abs(y - (0.3 + 0.4 * b) - (c - 0.5) * (x - 0.5) * 1.6 - 0.1 * k) * 2.1, 0, 1)
        mask = Image.fromarray(bytes_of(np.clip(noise * 2.4 - 0.8, 0, 1) * lane * 0.6)).resize(
            stage.picture.size, Image.Resampling.BICUBIC
        )
        wash(stage.picture, hue, (0, 0, *mask.size), mask)
    sky.paint_stars(stage, 1.0, height)
    side = -1.0 if d < 0.5 else 1.0
    stage.sun = (width * (0.5 - side * 0.6), height * 0.1)
    _planet(
        stage,
        width * (0.5 + side * (0.24 + 0.08 * b)),
        height * (0.3 + 0.1 * c),
        unit * (0.17 + 0.05 * a),
        stage.scene.tint("space"),
        "planet",
        ring=c < 0.65,
    )
    _planet(
        stage,
        width * (0.5 - side * (0.3 + 0.06 * c)),
        height * (0.66 + 0.1 * a),
        unit * 0.06,
        None,
        "other planet",
        ring=False,
    )
    return Spots(
        ground=(height * 0.55, height * 0.75), water=None, sky=(height * 0.2, height * 0.92), surface="void"
    )


def _planet(
    stage: Stage, x: float, y: float, radius: float, tint: RGB | None, name: str, *, ring: bool
) -> None:
    rng = stage.stream(name)
    body, light = _PLANETS[int(float(rng.random()) * len(_PLANETS))]
    if tint is not None:
        body, light = tint, mix(tint, (255, 255, 255), 0.4)
    picture = stage.picture
    glow(picture, (x, y), radius * 1.9, light, 0.4)
    turn = -18.0 + 36.0 * float(rng.random())
    outer, inner = (
        oval(x, y, radius * 1.9, radius * 0.5, turn),
        oval(x, y, radius * 1.35, radius * 0.33, turn),
    )
    if ring:
        band = np.concatenate((outer, outer[:1], inner[:1], inner[::-1]))
        fill(picture, [band], mix(light, (255, 255, 255), 0.2), 0.5)
    disc = oval(x, y, radius)
    box = (
        max(0, int(x - radius) - 1),
        max(0, int(y - radius) - 1),
        min(picture.width, int(x + radius) + 2),
        min(picture.height, int(y + radius) + 2),
    )
    if box[2] > box[0] and box[3] > box[1]:
        mass = coverage([disc], box)
        lay(picture, mass, box, body)
        for k, (a, b) in enumerate(rng.random((5, 2)).tolist()):
            at = y + radius * (-0.75 + 0.34 * k + 0.14 * a)
            stripe = oval(x, at, radius * 1.2, radius * (0.05 + 0.07 * b), turn * 0.5)
            lay(
                picture,
                np.minimum(mass, coverage([stripe], box)),
                box,
                light if k % 2 else mix(body, (60, 30, 60), 0.3),
                0.6,
            )
        toward = 1.0 if stage.sun[0] > x else -1.0
        night = np.minimum(
            mass, 255 - coverage([oval(x + toward * radius * 0.42, y - radius * 0.26, radius * 1.12)], box)
        )
        lay(picture, night, box, (12, 10, 34), 0.66)
    if ring:
        front = np.concatenate((outer, outer[:1], inner[:1], inner[::-1]))
        half = oval(x, y, radius * 2.2)
        lower = np.maximum(half, (-1e9, y + radius * 0.02))
        box = (
            max(0, int(x - radius * 2) - 1),
            max(0, int(y - radius)),
            min(picture.width, int(x + radius * 2) + 2),
            min(picture.height, int(y + radius) + 2),
        )
        if box[2] > box[0] and box[3] > box[1]:
            lay(
                picture,
                np.minimum(coverage([front], box), coverage([lower], box)),
                box,
                mix(light, (255, 255, 255), 0.25),
                0.85,
            )


def paint_moonland(stage: Stage) -> Spots:
    """Paint the ground of the moon, and the earth above it."""
    unit, width, height = stage.unit, stage.width, stage.height
    rng = stage.stream("moonland")
    a, b, c = rng.random(3).tolist()
    stage.horizon = height * (0.56 + 0.06 * a)
    stage.picture.paste(
        rows_image(
            [(0.0, (6, 8, 24)), (0.5, (14, 18, 48)), (0.62, (30, 34, 74)), (1.0, (30, 34, 74))],
            stage.picture.size,
        )
    )
    sky.paint_stars(stage, 1.0, stage.horizon, rich=True)
    side = -1.0 if b < 0.5 else 1.0
    stage.sun = (width * (0.5 - side * 0.7), height * 0.06)
    _earth(
        stage,
        width * (0.5 + side * 0.26),
        stage.horizon - min(unit * 0.34, stage.horizon * 0.62),
        unit * (0.085 + 0.03 * c),
    )
    tint = stage.scene.tint("moonland") or (196, 198, 210)
    for k, (rise, share) in enumerate(((0.1, 0.55), (0.06, 0.3))):
        line = land.hill_line(stage, f"moon hills {k}", stage.horizon + unit * 0.03 * k, unit * rise, 0.5, 4)
        land.fill_below(stage, line, mix(tint, (44, 46, 86), share), mix(tint, (60, 62, 104), share), height)
    edge = stage.horizon + unit * 0.05
    line = land.hill_line(stage, "moon ground", edge, unit * 0.04, 0.9, 2)
    land.fill_below(stage, line, mix(tint, (255, 255, 255), 0.22), mix(tint, (70, 70, 112), 0.5), height)
    dark: list[Points] = []
    rims: list[Points] = []
    floor: list[Points] = []
    toward = 1.0 if stage.sun[0] > width / 2 else -1.0
    for k in range(15):
        a, b, c = stage.stream(f"crater {k}").random(3).tolist()
        t = 0.08 + 0.92 * b
        x, y, r = (
            a * width,
            edge + unit * 0.03 + (height - edge) * t * 0.95,
            unit * (0.014 + 0.075 * c * c) * (0.35 + 0.8 * t),
        )
        rims.append(oval(x, y, r * 1.16, r * 0.42))
        dark.append(oval(x, y, r, r * 0.34))
        floor.append(oval(x - toward * r * 0.16, y + r * 0.07, r * 0.8, r * 0.23))
    fill(stage.picture, rims, mix(tint, (255, 255, 255), 0.45), 0.7)
    fill(stage.picture, dark, mix(tint, (40, 40, 82), 0.62))
    fill(stage.picture, floor, mix(tint, (60, 60, 104), 0.4))
    return Spots(
        ground=(edge + unit * 0.08, height - unit * 0.08),
        water=None,
        sky=(height * 0.1, stage.horizon - unit * 0.14),
        surface="moon",
    )


_LANDS = (
    ((-0.5, -0.3), (-0.1, -0.62), (0.2, -0.4), (0.02, -0.05), (-0.2, 0.02), (-0.3, -0.2)),
    ((0.1, 0.1), (0.42, 0.0), (0.5, 0.3), (0.24, 0.6), (0.1, 0.4)),
    ((-0.7, 0.2), (-0.4, 0.24), (-0.36, 0.6), (-0.6, 0.5)),
    ((0.5, -0.5), (0.8, -0.3), (0.72, -0.1), (0.5, -0.2)),
)


def _earth(stage: Stage, x: float, y: float, radius: float) -> None:
    picture = stage.picture
    glow(picture, (x, y), radius * 2.4, (110, 170, 255), 0.6)
    box = (
        max(0, int(x - radius) - 1),
        max(0, int(y - radius) - 1),
        min(picture.width, int(x + radius) + 2),
        min(picture.height, int(y + radius) + 2),
    )
    if box[2] <= box[0] or box[3] <= box[1]:
        return
    mass = coverage([oval(x, y, radius)], box)
    lay(picture, mass, box, (52, 124, 214))
    lands = [bend(*points) * radius + (x, y) for points in _LANDS]
    lay(picture, np.minimum(mass, coverage(lands, box)), box, (92, 168, 104))
    clouds = [
        oval(x + a * radius, y + b * radius, c * radius, c * radius * 0.22, d)
        for a, b, c, d in (
            (-0.3, -0.5, 0.4, 14),
            (0.35, -0.16, 0.42, 10),
            (-0.2, 0.22, 0.5, 8),
            (0.2, 0.66, 0.36, 12),
            (0.1, -0.8, 0.4, 0),
        )
    ]
    lay(picture, np.minimum(mass, coverage(clouds, box)), box, (244, 250, 255), 0.85)
    toward = 1.0 if stage.sun[0] > x else -1.0
    night = np.minimum(
        mass, 255 - coverage([oval(x + toward * radius * 0.44, y - radius * 0.22, radius * 1.12)], box)
    )
    lay(picture, night, box, (8, 12, 40), 0.7)


def paint_deep(stage: Stage) -> Spots:
    """Paint the sea from within: light from above, weeds, corals and bubbles."""
    unit, width, height = stage.unit, stage.width, stage.height
    mood = stage.mood
    tint = stage.scene.tint("deep") or stage.scene.tint("sea")
    waters: tuple[RGB, RGB, RGB] = (
        ((150, 226, 226), (36, 146, 178), (14, 62, 116))
        if not mood.dark
        else ((58, 110, 160), (20, 56, 110), (8, 18, 56))
    )
    top, middle, deep = waters
    if tint is not None:
        top, middle, deep = mix(top, tint, 0.4), mix(middle, tint, 0.6), mix(deep, tint, 0.4)
    stage.picture.paste(rows_image([(0.0, top), (0.42, middle), (1.0, deep)], stage.picture.size))
    stage.horizon = height * 0.8
    stage.sun = (stage.sun[0], -unit * 0.12)
    sky.paint_shafts(stage, height * 0.9)
    glow(stage.picture, (stage.sun[0], 0), unit * 0.7, (230, 255, 246), 0.5)
    for k, share in enumerate((0.62, 0.36)):
        line = land.hill_line(
            stage, f"reef {k}", height * (0.82 + 0.04 * k), unit * (0.22 - 0.06 * k), 0.5, 4
        )
        land.fill_below(stage, line, mix((26, 66, 104), middle, share), deep, height)
        _weeds(
            stage,
            f"far weeds {k}",
            line,
            mix((30, 110, 110), middle, share),
            unit * (0.12 + 0.04 * k),
            int(9 * stage.wide),
        )
    floor = land.hill_line(stage, "seabed", height * 0.9, unit * 0.04, 0.8, 2)
    sand = mix((226, 206, 160), middle, 0.4)
    land.fill_below(stage, floor, sand, mix(sand, deep, 0.55), height)
    _weeds(
        stage, "weeds", floor, mix((46, 150, 100), deep, 0.2), unit * 0.24, int(6 * stage.wide), sides=True
    )
    _corals(stage, floor)
    rng = stage.stream("bubbles")
    rings, spots = [], []
    for a, b, c in rng.random((int(22 * stage.wide), 3)).tolist():
        x, y, r = (0.1 + 0.8 * a) * width, b * height * 0.86, unit * (0.003 + 0.009 * c * c)
        rings.append(oval(x, y, r))
        spots.append(oval(x - r * 0.3, y - r * 0.3, r * 0.35))
    fill(stage.picture, rings, (220, 246, 250), 0.32)
    fill(stage.picture, spots, (255, 255, 255), 0.8)
    if not mood.dark:
        stage.mood = replace(mood, light=(232, 248, 250), haze=(60, 150, 180), halo=(220, 255, 246), rim=0.25)
    return Spots(
        ground=(height * 0.9, height * 0.95), water=None, sky=(height * 0.16, height * 0.74), surface="seabed"
    )


def _weeds(
    stage: Stage, name: str, line: Points, tone: RGB, high: float, number: int, *, sides: bool = False
) -> None:
    rng = stage.stream(name)
    blades = []
    for a, b, c in rng.random((number, 3)).tolist():
        x = (a * 0.3 if b < 0.5 else 1 - a * 0.3) * stage.width if sides else a * stage.width
        y = float(line[min(int(x / 2), len(line) - 1)]) + high * 0.1
        for k in range(3):
            tall, sway = high * (0.5 + 0.7 * c) * (1 - 0.2 * k), high * 0.12 * (1 if k % 2 else -1)
            at = x + (k - 1) * high * 0.12
            path = bend(
                (at, y),
                (at + sway, y - tall * 0.35),
                (at - sway * 0.7, y - tall * 0.7),
                (at + sway * 0.5, y - tall),
                closed=False,
            )
            blades.append(stroke(path, high * 0.07, high * 0.012))
    fill(stage.picture, blades, tone)


def _corals(stage: Stage, line: Points) -> None:
    rng = stage.stream("corals")
    unit = stage.unit
    hues: tuple[RGB, ...] = ((236, 110, 120), (246, 160, 90), (200, 110, 190), (250, 206, 110))
    for k, (a, b, c) in enumerate(rng.random((6, 3)).tolist()):
        x = stage.width * ((k + 0.2 + 0.6 * a) / 6)
        y, s = float(line[min(int(x / 2), len(line) - 1)]) + unit * 0.02, unit * (0.05 + 0.05 * b)
        hue = mix(hues[int(c * 4) % 4], (30, 100, 150), 0.22)
        if k % 2:
            parts = [
                stroke(
                    bend(
                        (x, y),
                        (x + lean * s * 0.5, y - s * 0.6),
                        (x + lean * s * 1.0, y - s * (1.5 - 0.5 * abs(lean))),
                        closed=False,
                    ),
                    s * 0.2,
                    s * 0.13,
                )
                for lean in (-0.9, -0.4, 0.1, 0.5, 1.0)
            ]
            parts += [
                oval(x + lean * s, y - s * (1.5 - 0.5 * abs(lean)), s * 0.085)
                for lean in (-0.9, -0.4, 0.1, 0.5, 1.0)
            ]
            fill(stage.picture, parts, hue)
        else:
            fill(stage.picture, [np.minimum(oval(x, y, s, s * 0.8), (1e9, y + s * 0.2))], hue)
            fill(
                stage.picture,
                [
                    oval(x + dx * s, y - dy * s, s * 0.09, s * 0.07)
                    for dx, dy in ((-0.5, 0.3), (-0.1, 0.56), (0.35, 0.42), (0.1, 0.2), (0.6, 0.1))
                ],
                mix(hue, (255, 255, 255), 0.4),
                0.8,
            )
