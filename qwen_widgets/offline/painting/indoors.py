"""A room: a wall, a window with the landscape in it, a sill or a table that things stand on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from qwen_widgets.offline.painting import outdoors, sky
from qwen_widgets.offline.painting.brush import (
    RGB,
    Points,
    bend,
    bytes_of,
    coverage,
    fill,
    glow,
    lay,
    lit,
    mix,
    oval,
    poly,
    rows_image,
)
from qwen_widgets.offline.painting.outdoors import Spots
from qwen_widgets.offline.painting.stage import Stage

_WALLS: tuple[RGB, ...] = (
    (206, 190, 168),
    (164, 178, 166),
    (188, 156, 140),
    (150, 168, 184),
    (214, 196, 150),
    (176, 160, 180),
)
_CLOTH: tuple[RGB, ...] = ((226, 208, 186), (198, 112, 88), (112, 140, 150), (222, 178, 110), (146, 152, 120))
_SMALL = frozenset({"apple", "fruit", "cup", "book", "lamp", "vase"})


def paint_room(stage: Stage) -> Spots:
    """Paint a room, and through its window whatever the prompt says of the weather and the hour."""
    scene, unit, width, height = stage.scene, stage.unit, stage.width, stage.height
    a, b, c, d = stage.stream("room").random(4).tolist()
    outside = stage.mood
    warm: RGB = (242, 206, 166) if outside.dark else mix(outside.light, (255, 240, 220), 0.4)
    inside = replace(
        outside,
        light=warm,
        shadow=(58, 40, 66),
        haze=mix(warm, (90, 70, 90), 0.4),
        rim=max(0.35, outside.rim),
        height=0.5,
    )
    wall = scene.tint("room") or _WALLS[int(a * len(_WALLS))]
    dim = 0.62 if outside.dark else 0.84
    tone = lit(wall, (warm[0] * dim, warm[1] * dim, warm[2] * dim))
    shelf = height * (0.73 + 0.03 * b)
    stage.picture.paste(
        rows_image(
            [(0.0, mix(tone, inside.shadow, 0.38)), (0.6, tone), (1.0, mix(tone, inside.shadow, 0.3))],
            stage.picture.size,
        )
    )
    # The window; its view is a picture of its own.
    left_side = c < 0.5
    wide = min(width * 0.64, unit * 0.9)
    x0 = (width * 0.5 - wide * 0.5) + (-1 if left_side else 1) * width * (0.02 + 0.08 * d)
    x1, y0, y1 = x0 + wide, max(height * 0.09, shelf - unit * 0.72), shelf - unit * 0.005
    view = _view(stage, (max(16, int(wide)), max(16, int(y1 - y0))))
    stage.picture.paste(view, (int(x0), int(y0)))
    stage.sun = (x0 + wide * (0.3 if left_side else 0.7), y0 + (y1 - y0) * 0.2)
    glow(
        stage.picture,
        ((x0 + x1) / 2, (y0 + y1) / 2),
        unit * 0.85,
        mix(outside.halo, outside.sky[3], 0.5),
        0.1 if outside.dark else 0.28,
    )
    _frame(stage, x0, y0, x1, y1, inside.far((244, 238, 226), 0.0) if not outside.dark else (168, 146, 122))
    cloth = _CLOTH[int(b * 4.99)]
    rod = y0 - unit * 0.055
    fill(
        stage.picture,
        [
            _bar(x0 - unit * 0.2, rod, x1 + unit * 0.2, rod + unit * 0.013),
            oval(x0 - unit * 0.2, rod + unit * 0.0065, unit * 0.016),
            oval(x1 + unit * 0.2, rod + unit * 0.0065, unit * 0.016),
        ],
        mix(inside.shadow, (120, 84, 60), 0.5),
    )
    _curtain(stage, x0, y0, y1, -1.0, lit(cloth, warm), inside.shadow, wide)
    _curtain(stage, x1, y0, y1, 1.0, lit(cloth, warm), inside.shadow, wide)
    table = any(subject.kind in _SMALL for subject in scene.subjects)
    _shelf(stage, shelf, inside.far((150, 100, 66), 0.0), inside.shadow, table=table)
    # The plant stands on the side that the first subject leaves free.
    subject_left = float(stage.stream("placing").random()) < 0.5
    _plant(
        stage,
        (x1 - wide * 0.16) if subject_left else (x0 + wide * 0.16),
        shelf + unit * (0.0 if not table else 0.015),
        lit((92, 140, 92), warm),
        lit((190, 104, 76), warm),
    )
    if outside.dark:
        glow(stage.picture, (x1 if left_side else x0, height * 0.3), unit * 1.0, (255, 170, 90), 0.3)
    elif outside.height < 0.5 or "rain" not in scene.weather:
        _patch(stage, x0, x1, shelf, outside.halo, table=table)
    stage.mood = inside
    across = (max(0.0, x0 / width), min(1.0, x1 / width))
    far, near = (0.08, 0.17) if table else (0.022, 0.028)
    return Spots(
        ground=(shelf + unit * far, shelf + unit * near),
        water=None,
        sky=(height * 0.1, height * 0.5),
        surface="table" if table else "sill",
        across=across,
    )


def _view(stage: Stage, size: tuple[int, int]) -> Image.Image:
    places = stage.scene.places - {"room"} or frozenset({"field"})
    scene = replace(stage.scene, places=places, subjects=(), styles=())
    view = Stage(
        Image.new("RGB", size),
        scene,
        stage.seed,
        stage.mood,
        unit=min(size[1], size[0] * 1.15) * 1.25,
        fine=False,
    )
    outdoors.compose(view)
    outdoors.paint_outdoors(view)
    if scene.weather & {"rain", "storm"}:
        sky.paint_rain(view)
    if "snowfall" in scene.weather or scene.season == "winter":
        sky.paint_snowfall(view, heavy="snowfall" in scene.weather)
    return view.picture


def _bar(x0: float, y0: float, x1: float, y1: float) -> Points:
    return poly((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _frame(stage: Stage, x0: float, y0: float, x1: float, y1: float, tone: RGB) -> None:
    unit, picture = stage.unit, stage.picture
    t = unit * 0.02
    middle, cross = (x0 + x1) / 2, y0 + (y1 - y0) * 0.36
    bars = [
        _bar(x0 - t, y0 - t, x1 + t, y0 + t * 0.6), _bar(x0 - t, y0, x0 + t * 0.6, y1), _bar(x1 - t * 0.6, y0, x1 + t, y1),
        _bar(middle - t * 0.4, y0, middle + t * 0.4, y1), _bar(x0, cross - t * 0.35, x1, cross + t * 0.35), _bar(x0, y1 - t, x1, y1 + t),
    ]  # fmt: skip
    fill(picture, [bar + np.array((t * 0.3, t * 0.35)) for bar in bars], stage.mood.shadow, 0.3)
    fill(picture, bars, tone)
    fill(
        picture,
        [
            _bar(x0 + t * 0.3, y0, x0 + t * 0.6, y1),
            _bar(middle + t * 0.15, y0, middle + t * 0.4, y1),
            _bar(x0, cross + t * 0.1, x1, cross + t * 0.35),
        ],
        mix(tone, stage.mood.shadow, 0.3),
        0.7,
    )


def _curtain(
    stage: Stage, x: float, y0: float, y1: float, side: float, cloth: RGB, shadow: RGB, wide: float
) -> None:
    unit, picture = stage.unit, stage.picture
    outer, inner = x + side * unit * 0.13, x - side * wide * 0.1
    top, foot = y0 - unit * 0.045, y1 + unit * 0.012
    tie = top + (foot - top) * 0.66
    shape = np.concatenate(
        (
            bend(
                (inner, top),
                (inner + side * unit * 0.005, top + (tie - top) * 0.5),
                (x + side * unit * 0.045, tie),
                (x + side * unit * 0.02, foot),
                closed=False,
            ),
            [(outer, foot), (outer + side * unit * 0.01, top)],
        )
    )
    fill(picture, [shape + np.array((-side * unit * 0.012, unit * 0.006))], shadow, 0.3)
    box = (
        max(0, int(shape[:, 0].min())),
        max(0, int(top)),
        min(picture.width, int(shape[:, 0].max()) + 1),
        min(picture.height, int(foot) + 1),
    )
    if box[2] <= box[0] or box[3] <= box[1]:
        return
    mass = coverage([shape], box)
    lay(picture, mass, box, cloth)
    folds, lights = [], []
    for k in range(4):
        t = (k + 0.6) / 4
        start, end = inner + (outer - inner) * t, x + side * unit * (0.03 + 0.1 * t)
        middle = x + side * unit * (0.05 + 0.07 * t)
        folds.append(
            poly(
                (start - unit * 0.011, top),
                (start + unit * 0.009, top),
                (middle + unit * 0.004, tie),
                (end + unit * 0.009, foot),
                (end - unit * 0.009, foot),
                (middle - unit * 0.004, tie),
            )
        )
        lights.append(folds[-1] + (unit * 0.017, 0.0))
    lay(picture, np.minimum(mass, coverage(folds, box)), box, mix(cloth, shadow, 0.5), 0.45)
    lay(picture, np.minimum(mass, coverage(lights, box)), box, mix(cloth, (255, 246, 226), 0.5), 0.25)
    fill(
        picture,
        [
            bend(
                (x + side * unit * 0.035, tie - unit * 0.012),
                (outer, tie - unit * 0.02),
                (outer, tie + unit * 0.012),
                (x + side * unit * 0.035, tie + unit * 0.012),
            )
        ],
        mix(cloth, shadow, 0.55),
    )


def _shelf(stage: Stage, y: float, wood: RGB, shadow: RGB, *, table: bool) -> None:
    unit, picture, width, height = stage.unit, stage.picture, stage.width, stage.height
    if table:
        high = max(4, height - int(y))
        picture.paste(
            rows_image(
                [(0.0, mix(wood, (255, 226, 180), 0.28)), (1.0, mix(wood, shadow, 0.3))], (width, high)
            ),
            (0, int(y)),
        )
        rng = stage.stream("grain")
        grain = []
        for a, b, c in rng.random((9, 3)).tolist():
            gy, gx, long = y + (height - y) * (0.06 + 0.9 * b), a * width, unit * (0.2 + 0.5 * c)
            grain.append(
                poly((gx - long, gy), (gx, gy - unit * 0.0016), (gx + long, gy), (gx, gy + unit * 0.0016))
            )
        fill(picture, grain, mix(wood, shadow, 0.5), 0.4)
        fill(picture, [_bar(0, y - 1, width, y + unit * 0.006)], mix(wood, (255, 236, 200), 0.5), 0.8)
        return
    fill(picture, [_bar(0, y + unit * 0.06, width, y + unit * 0.1)], shadow, 0.3)
    fill(picture, [_bar(-2, y, width + 2, y + unit * 0.05)], mix(wood, (255, 226, 180), 0.3))
    fill(picture, [_bar(-2, y + unit * 0.036, width + 2, y + unit * 0.068)], mix(wood, shadow, 0.25))
    panel = mix(wood, shadow, 0.5)
    x = unit * 0.04
    while x < width:
        fill(picture, [_bar(x, y + unit * 0.11, x + unit * 0.3, height + 4)], panel, 0.2)
        x += unit * 0.36


def _patch(stage: Stage, x0: float, x1: float, y: float, halo: RGB, *, table: bool) -> None:
    """Let the window's light fall on the sill."""
    unit, width = stage.unit, stage.width
    rows, columns = max(2, int(unit * (0.2 if table else 0.045))), width
    at = np.arange(columns)
    near = (
        np.clip(np.minimum(at - x0, x1 - at) / (unit * 0.06), 0, 1)[None, :]
        * np.linspace(0.5, 0.1, rows)[:, None]
    )
    stage.picture.paste(
        (int(halo[0]), int(halo[1]), int(halo[2])), (0, int(y)), Image.fromarray(bytes_of(near))
    )


def _plant(stage: Stage, x: float, y: float, green: RGB, clay: RGB) -> None:
    unit, picture = stage.unit, stage.picture
    rng = stage.stream("plant")
    s = unit * 0.1
    darker: list[Points] = []
    lighter: list[Points] = []
    for k, (a, b) in enumerate(rng.random((9, 2)).tolist()):
        lean, high = (
            (k / 8 - 0.5) * 2.0 + (a - 0.5) * 0.3,
            s * (1.0 + 0.8 * b) * (1.15 - 0.4 * abs(k / 8 - 0.5) * 2),
        )
        tip = (x + lean * s * 0.9, y - s * 0.6 - high * (1 - abs(lean) * 0.35))
        leaf = bend(
            (x, y - s * 0.55),
            (x + lean * s * 0.25 - s * 0.13, y - s * 0.6 - high * 0.5),
            tip,
            (x + lean * s * 0.55 + s * 0.13, y - s * 0.6 - high * 0.42),
        )
        (darker if k % 2 else lighter).append(leaf)
    fill(picture, darker, mix(green, stage.mood.shadow, 0.3))
    fill(picture, lighter, mix(green, (250, 240, 180), 0.12))
    fill(
        picture,
        [
            poly(
                (x - s * 0.42, y - s * 0.64),
                (x + s * 0.42, y - s * 0.64),
                (x + s * 0.32, y + s * 0.16),
                (x - s * 0.32, y + s * 0.16),
            )
        ],
        clay,
    )
    fill(
        picture,
        [
            poly(
                (x + s * 0.1, y - s * 0.64),
                (x + s * 0.42, y - s * 0.64),
                (x + s * 0.32, y + s * 0.16),
                (x + s * 0.08, y + s * 0.16),
            ),
            _bar(x - s * 0.4, y - s * 0.5, x + s * 0.4, y - s * 0.46),
        ],
        mix(clay, stage.mood.shadow, 0.5),
        0.6,
    )
    fill(
        picture,
        [_bar(x - s * 0.48, y - s * 0.72, x + s * 0.48, y - s * 0.52)],
        mix(clay, (255, 230, 200), 0.12),
    )
