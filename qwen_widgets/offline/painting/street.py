"""A street in perspective: houses on both sides, lit windows and signs at night, a road that shines in the rain."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from PIL import Image, ImageFilter

from qwen_widgets.offline.painting import plants, sky
from qwen_widgets.offline.painting.brush import (
    RGB,
    Points,
    bytes_of,
    coverage,
    fill,
    glow,
    lattice,
    lit,
    mix,
    oval,
    poly,
    solid,
    stroke,
)
from qwen_widgets.offline.painting.outdoors import Spots
from qwen_widgets.offline.painting.stage import Stage

_WALLS: tuple[RGB, ...] = (
    (198, 116, 92),
    (222, 186, 140),
    (142, 160, 176),
    (196, 160, 150),
    (168, 180, 150),
    (214, 200, 180),
    (156, 128, 128),
)
_LEAVES: tuple[RGB, ...] = ((214, 120, 44), (226, 160, 60), (178, 84, 40))
#: Where wheels have run, from the middle of the road to its side.
_TRACKS = ((0.1, 0.2), (0.34, 0.46))
_NEON: tuple[RGB, ...] = (
    (255, 70, 150),
    (60, 220, 250),
    (255, 180, 60),
    (150, 100, 255),
    (80, 250, 170),
    (255, 90, 80),
)


@dataclass(frozen=True, slots=True)
class _View:
    """The perspective: the vanishing point in pixels, and how large a unit is at a depth of one."""

    x: float
    y: float
    scale: float

    def at(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Give the pixel of a point: x to the right, y upwards from the road, z away."""
        return self.x + x * self.scale / z, self.y + (_EYE - y) * self.scale / z

    def wall(self, x: float, y0: float, y1: float, z0: float, z1: float) -> Points:
        """Give a piece of the wall at x."""
        return poly(self.at(x, y0, z0), self.at(x, y1, z0), self.at(x, y1, z1), self.at(x, y0, z1))

    def front(self, x0: float, x1: float, y0: float, y1: float, z: float) -> Points:
        """Give a rectangle that faces the viewer."""
        return poly(self.at(x0, y0, z), self.at(x0, y1, z), self.at(x1, y1, z), self.at(x1, y0, z))


_EYE = 0.34
_SIDE = 1.0


def paint_street(stage: Stage) -> Spots:
    """Paint a street and what lights it."""
    scene, unit, width, height = stage.scene, stage.unit, stage.width, stage.height
    a, b = stage.stream("street").random(2).tolist()
    stage.horizon = height * (0.55 + 0.06 * b)
    view = _View(width * (0.42 + 0.16 * a), stage.horizon, min(unit * 0.62, width * 0.6))
    mood = stage.mood
    night = mood.dark
    neon = "neon" in scene.styles or "city" in scene.places
    sky.paint_sky(stage)
    sky.paint_lights(stage)
    sky.paint_clouds(stage)
    glow(
        stage.picture,
        (view.x, view.y - unit * 0.1),
        unit * 0.62,
        (255, 120, 170) if neon and night else mood.halo,
        0.55 if night else 0.3,
    )
    _far_end(stage, view)
    bright: list[tuple[RGB, list[Points]]] = []
    walls: list[tuple[RGB, list[Points]]] = []
    depths = _cuts(stage)
    for near, far in reversed(list(pairwise(depths))):
        for side in (-1.0, 1.0):
            _house(stage, view, side, near, far, walls, bright, neon=neon)
    _road(stage, view, bright, walls)
    _lamps(stage, view)
    if scene.season == "autumn":
        plants.paint_petals(stage, "road leaves", stage.horizon + unit * 0.06, _LEAVES, 70)
    far, near = view.at(0, 0, 1.5)[1], view.at(0, 0, 0.85)[1]
    return Spots(
        ground=(min(far, height * 0.84), min(near, height * 0.92)),
        water=None,
        sky=(height * 0.08, height * 0.4),
        surface="road",
    )


def _cuts(stage: Stage) -> list[float]:
    rng = stage.stream("houses")
    depths = [0.42]
    while depths[-1] < 3.8:
        depths.append(depths[-1] + (0.42 + 0.4 * float(rng.random())) * (0.5 + 0.38 * depths[-1]))
    return depths


def _bar(x: float, y: float, half: float, high: float) -> Points:
    return poly((x - half, y), (x + half, y), (x + half, y + high), (x - half, y + high))


def _far_end(stage: Stage, view: _View) -> None:
    rng = stage.stream("far end")
    mood, unit = stage.mood, stage.unit
    towers: list[Points] = []
    panes: list[Points] = []
    for a, b, c in rng.random((9, 3)).tolist():
        x, half, high = view.x + (a - 0.5) * unit * 0.5, unit * (0.016 + 0.022 * b), unit * (0.07 + 0.24 * c)
        towers.append(
            poly(
                (x - half, view.y + 4),
                (x - half, view.y - high),
                (x + half, view.y - high),
                (x + half, view.y + 4),
            )
        )
        panes += [
            _bar(x, view.y - high + unit * (0.014 + 0.02 * k), half * 0.6, unit * 0.006)
            for k in range(int(high / (unit * 0.02)))
            if (k * 7 + int(a * 100)) % 3
        ]
    fill(stage.picture, towers, mix(mood.far((110, 110, 140), 0.5), mood.haze, 0.3))
    if mood.dark:
        fill(stage.picture, panes, (255, 206, 140), 0.4)


def _house(
    stage: Stage,
    view: _View,
    side: float,
    near: float,
    far: float,
    walls: list[tuple[RGB, list[Points]]],
    bright: list[tuple[RGB, list[Points]]],
    *,
    neon: bool,
) -> None:
    mood = stage.mood
    night = mood.dark
    snow = stage.scene.season == "winter"
    rng = stage.stream(f"house {side} {near:.3f}")
    a, b, c, d = rng.random(4).tolist()
    tall = (1.0 + 1.5 * a) if neon else (0.85 + 0.6 * a)
    depth = min(0.62, 0.09 * near)
    tint = stage.scene.tint("city") or stage.scene.tint("street") or stage.scene.tint("house")
    wall = tint or _WALLS[int(b * len(_WALLS))]
    sunny = (stage.sun[0] - view.x) * side < 0
    tone = mood.far(mix(wall, mood.shadow, (0.5 if night else 0.08) + (0.0 if sunny else 0.2)), depth)
    body = view.wall(side * _SIDE, 0.0, tall, near, far)
    front = view.front(side * _SIDE, side * (_SIDE + 2.6), 0.0, tall, near)
    _put(stage, walls, tone, [body])
    _put(stage, walls, mix(tone, mood.shadow, 0.36), [front])
    if near < 2.0:
        fill(
            stage.picture,
            [view.wall(side * (_SIDE - 0.03), tall - 0.06, tall + 0.02, near, far)],
            mood.far(mood.snow(0.3), depth) if snow else mix(tone, mood.shadow, 0.4),
        )
    if snow:
        cap = [view.front(side * _SIDE, side * (_SIDE + 2.6), tall - 0.03, tall + 0.025, near)]
        fill(stage.picture, cap, mood.far(mood.snow(0.4), depth))
    # Windows in rows; at night some have a lamp behind them.
    rows, columns = max(2, int(tall / 0.24)), max(2, min(6, int((far - near) / (0.1 + 0.05 * near))))
    numbers = rng.random((rows, columns, 2))
    panes: list[list[Points]] = [[], [], []]
    for j in range(1, rows):
        y = j * tall / rows
        for k in range(columns if near < 2.2 else 0):
            z0 = near + (far - near) * (k + 0.24) / columns
            z1 = near + (far - near) * (k + 0.76) / columns
            n = float(numbers[j, k, 0])
            kind = (0 if n < 0.3 else 1 if n < 0.42 else 2) if night else (0 if n < 0.2 else 2)
            panes[kind].append(view.wall(side * _SIDE, y, y + tall / rows * 0.56, z0, z1))
    dark_pane = mix(tone, (14, 16, 36), 0.5) if night else mix(mood.sky[1], tone, 0.35)
    shine: tuple[RGB, RGB, RGB] = (
        (255, 206, 120) if night else mix(mood.halo, tone, 0.3),
        (140, 210, 255),
        dark_pane,
    )
    for tint_, part, is_bright in zip(shine, panes, (night, night, False), strict=True):
        if is_bright:
            _put(stage, bright, mix(tint_, mood.haze, depth), part)
        else:
            fill(stage.picture, part, mix(tint_, mood.haze, depth))
    # The shop on the ground floor.
    shop = _NEON[int(c * len(_NEON))] if neon else (255, 214, 140)
    glass = mix(shop, (255, 236, 200), 0.55) if night else mix(mood.sky[2], (60, 70, 80), 0.3)
    step = (far - near) * 0.1
    _put(
        stage,
        bright if night else walls,
        mix(glass, mood.haze, depth),
        [view.wall(side * _SIDE, 0.03, 0.21, near + step, far - step)],
    )
    awning = poly(
        view.at(side * _SIDE, 0.27, near + step * 0.6),
        view.at(side * (_SIDE - 0.1), 0.21, near + step * 0.6),
        view.at(side * (_SIDE - 0.1), 0.21, far - step * 0.6),
        view.at(side * _SIDE, 0.27, far - step * 0.6),
    )
    cloth = mix(shop, (60, 30, 60), 0.35)
    fill(stage.picture, [awning], mood.far(mix(cloth, mood.snow(0.3), 0.85) if snow else cloth, depth))
    if (neon and night) or (neon and d < 0.6):
        _sign(
            stage,
            view,
            side,
            near + (far - near) * 0.3,
            0.4 + 0.3 * d,
            min(tall - 0.1, 0.95 + 0.5 * c),
            _NEON[int(d * 5.99)],
            bright,
            depth,
        )


def _put(stage: Stage, store: list[tuple[RGB, list[Points]]], tone: RGB, parts: list[Points]) -> None:
    if parts:
        fill(stage.picture, parts, tone)
        store.append((tone, parts))


def _sign(
    stage: Stage,
    view: _View,
    side: float,
    z: float,
    low: float,
    high: float,
    hue: RGB,
    bright: list[tuple[RGB, list[Points]]],
    depth: float,
) -> None:
    if high - low < 0.15:
        return
    x0, x1 = side * (_SIDE - 0.02), side * (_SIDE - 0.19)
    mood = stage.mood
    board = view.front(x0, x1, low, high, z)
    centre = view.at((x0 + x1) / 2, (low + high) / 2, z)
    size = view.scale / z
    glow(stage.picture, centre, size * (high - low) * 0.95, hue, 0.5 if mood.dark else 0.12)
    fill(stage.picture, [board], mix((26, 18, 44), mood.haze, depth * 0.5))
    seen = mix(hue, mood.haze, depth * 0.6)
    inset = 0.02
    edge = [
        view.front(x0, x0 + (x1 - x0) * 0.1, low, high, z), view.front(x1, x1 - (x1 - x0) * 0.1, low, high, z),
        view.front(x0, x1, low, low + inset, z), view.front(x0, x1, high - inset, high, z),
    ]  # fmt: skip
    _put(stage, bright, seen, edge)
    rng = stage.stream(f"sign {side} {z:.3f}")
    strokes = []
    count = max(2, int((high - low) / 0.17))
    for k in range(count):
        y = low + 0.035 + (high - low - 0.07) * k / count
        tall = (high - low - 0.07) / count * 0.72
        for bar in range(3):
            a, b = rng.random(2).tolist()
            if bar == 1 and a < 0.4:
                xm = x0 + (x1 - x0) * (0.35 + 0.3 * b)
                strokes.append(view.front(xm - 0.008, xm + 0.008, y, y + tall, z))
            else:
                left, right = 0.2 + 0.2 * a, 0.8 - 0.2 * b
                yy = y + tall * bar / 2.4
                strokes.append(view.front(x0 + (x1 - x0) * left, x0 + (x1 - x0) * right, yy, yy + 0.017, z))
    fill(stage.picture, strokes, mix(seen, (255, 255, 255), 0.3))


def _road(
    stage: Stage, view: _View, bright: list[tuple[RGB, list[Points]]], walls: list[tuple[RGB, list[Points]]]
) -> None:
    """Paint the road, and into it, upside down, what stands and shines above it."""
    scene, mood, unit = stage.scene, stage.mood, stage.unit
    width, height = stage.width, stage.height
    wet = bool(scene.weather & {"rain", "storm"})
    snow = scene.season == "winter" and not wet
    top = int(view.y)
    high = height - top
    base = (
        mood.far((92, 94, 108), 0.05)
        if not mood.dark
        else mix(mood.far((70, 72, 96), 0.0), (16, 14, 32), 0.3)
    )
    road = Image.new("RGB", (width, high), solid(base))
    near_road: list[Points] = [
        poly(
            view.at(-_SIDE * 3, 0, 0.3),
            view.at(-_SIDE * 3, 0, 20),
            view.at(_SIDE * 3, 0, 20),
            view.at(_SIDE * 3, 0, 0.3),
        )
    ]
    asphalt = base
    if snow:
        base = mix(base, mood.snow(0.45), 0.8)
    share = 0.85 if wet else 0.16 if mood.dark else 0.05
    if share > 0.1:
        seen = min(top, high)
        # Small and smeared downwards, as on wet stone.
        across, down = max(8, width // 10), max(8, high // 12)
        mirror = Image.new("RGB", (across, down), solid(base))
        above = stage.picture.crop((0, top - seen, width, top)).resize(
            (across, max(1, down * seen // high)), Image.Resampling.BOX
        )
        mirror.paste(above.transpose(Image.Transpose.FLIP_TOP_BOTTOM), (0, 0))
        shrink = np.array((across / width, down / high))
        for tone, parts in [*walls, *bright]:
            turned = [(_mirror(view, part) - (0.0, top)) * shrink for part in parts]
            fill(mirror, turned, tone)
        smear = mirror.filter(ImageFilter.BoxBlur(1)).resize((width, high), Image.Resampling.BILINEAR)
        rng = stage.stream("wet road")
        rows, columns = max(8, high // 2), max(8, width // 6)
        y = np.arange(rows) * 2.0 / unit
        noise = lattice(rng, 50.0 * y / (0.2 + y), np.arange(columns) / columns * 5 * stage.wide)
        field = Image.fromarray(bytes_of(np.clip(0.5 + noise * 0.5, 0, 1) * share)).resize(
            (width, high), Image.Resampling.BILINEAR
        )
        road.paste(smear, (0, 0), field)
    stage.picture.paste(road, (0, top), Image.fromarray(coverage(near_road, (0, top, width, height))))
    kerb = mix(base, (255, 255, 255), 0.16)
    for side in (-1.0, 1.0):
        walk = poly(
            view.at(side * _SIDE, 0, 0.3),
            view.at(side * _SIDE, 0, 20),
            view.at(side * 0.7, 0, 20),
            view.at(side * 0.7, 0, 0.3),
        )
        if snow:
            fill(stage.picture, [walk], mood.snow(0.2))
            for near, far in _TRACKS:
                fill(stage.picture, [_lane(view, side * near, side * far)], mix(base, asphalt, 0.5), 0.8)
            continue
        fill(stage.picture, [walk], mix(base, (200, 190, 200), 0.4), 0.16 if wet else 0.4)
        fill(
            stage.picture,
            [
                poly(
                    view.at(side * 0.7, 0, 0.3),
                    view.at(side * 0.7, 0, 20),
                    view.at(side * 0.672, 0, 20),
                    view.at(side * 0.672, 0, 0.3),
                )
            ],
            kerb,
            0.5,
        )
    dashes = []
    z = 0.62
    while z < 12:
        dashes.append(
            poly(
                view.at(-0.02, 0, z),
                view.at(0.02, 0, z),
                view.at(0.02, 0, z * 1.18),
                view.at(-0.02, 0, z * 1.18),
            )
        )
        z *= 1.42
    stripes = [
        poly(view.at(x, 0, 1.12), view.at(x + 0.09, 0, 1.12), view.at(x + 0.09, 0, 1.42), view.at(x, 0, 1.42))
        for x in np.arange(-0.62, 0.6, 0.18).tolist()
    ]
    paint_tone = mix(lit((250, 246, 236), mood.light), base, 0.25)
    if snow:
        return
    fill(stage.picture, dashes[1:], paint_tone, 0.6)
    fill(stage.picture, stripes, paint_tone, 0.5 if wet else 0.75)


def _lane(view: _View, left: float, right: float) -> Points:
    """Give a strip of the road, from near to far."""
    return poly(view.at(left, 0, 0.3), view.at(left, 0, 20), view.at(right, 0, 20), view.at(right, 0, 0.3))


def _mirror(view: _View, part: Points) -> Points:
    """Turn a piece of a wall over at its own foot, which its column tells: walls stand at one x."""
    # On the side walls, the depth follows from the column; the foot of the wall is there.
    away = np.abs(part[:, 0] - view.x)
    foot = view.y + away * (_EYE / _SIDE)
    turned = part.copy()
    turned[:, 1] = 2.0 * foot - part[:, 1]
    return turned


def _lamps(stage: Stage, view: _View) -> None:
    mood = stage.mood
    post = mix((34, 32, 44), mood.haze, 0.12)
    lean = stage.stream("lamps").random()
    for z in (4.4, 2.5, 1.45):
        for side in (-1.0, 1.0):
            if (side < 0) == (lean < 0.5) and z < 2.0:
                continue
            foot, head = view.at(side * 0.74, 0, z), view.at(side * 0.74, 0.86, z)
            arm = view.at(side * 0.56, 0.9, z)
            thick = view.scale / z
            fill(
                stage.picture,
                [
                    stroke(np.array([foot, head]), thick * 0.022, thick * 0.014),
                    stroke(np.array([head, ((head[0] + arm[0]) / 2, arm[1]), arm]), thick * 0.014),
                ],
                mix(post, mood.haze, min(0.5, z * 0.1)),
            )
            if mood.dark:
                glow(stage.picture, arm, thick * 0.42, (255, 214, 150), 0.75)
                fill(
                    stage.picture,
                    [oval(arm[0], arm[1] + thick * 0.01, thick * 0.04, thick * 0.022)],
                    (255, 246, 220),
                )
            else:
                fill(
                    stage.picture,
                    [oval(arm[0], arm[1] + thick * 0.01, thick * 0.04, thick * 0.02)],
                    mix((230, 230, 226), mood.haze, 0.2),
                )
