"""Plants in great numbers: conifers, leafy trees, tufts, fallen leaves and flowers, each kind in one stroke."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from qwen_widgets.offline.painting.brush import (
    RGB,
    Floats,
    Points,
    bounds,
    coverage,
    fill,
    lay,
    mix,
    oval,
    solid,
)
from qwen_widgets.offline.painting.land import WHITE, leaves
from qwen_widgets.offline.painting.stage import Stage

Line = Callable[[Floats], Floats]


Keep = Callable[[Floats], NDArray[np.bool_]]


def _conifer() -> tuple[Points, Points, Points, Points]:
    """Give a conifer of height 1 and half-width 1: outline, trunk, the half on its right, the snow on it."""
    left: list[tuple[float, float]] = []
    snow: list[list[tuple[float, float]]] = []
    tiers = 5
    for k in range(tiers):
        t0, t1 = k / tiers, (k + 1) / tiers
        out, back = 0.22 + 0.78 * t1, 0.1 + 0.5 * t1
        low = -0.92 + 0.84 * t1
        left += [(-out, low), (-back * (0.72 if k < tiers - 1 else 1.0), low - 0.022)]
        upper = -1.0 + 0.84 * t0
        snow.append(
            [
                (0.0, upper),
                (out * 0.5, low - 0.04),
                (out * 0.16, low - 0.065),
                (-out * 0.1, low - 0.03),
                (-out * 0.8, low + 0.008),
            ]
        )
    right = [(-x, y) for x, y in left][::-1]
    outline = np.array([(0.0, -1.0), *left, *right])
    half = np.array([(0.0, -1.0), (-0.12, -0.5), (0.06, -0.06), *right])
    trunk = np.array([(-0.12, 0.0), (-0.12, -0.14), (0.12, -0.14), (0.12, 0.0)])
    return outline, trunk, half, np.array(snow)


#: A circle with few corners, for what is small.
_ROUND: Points = oval(0.0, 0.0, 1.0)[::2]


_CONIFER, _TRUNK, _HALF, _SNOW = _conifer()


def _many(shape: Points, x: Floats, y: Floats, wide: Floats, high: Floats) -> Points:
    """Give copies of a shape: each at its place, with its own width and height."""
    at = np.stack((x, y), axis=1)[:, None, :]
    size = np.stack((wide, high), axis=1)[:, None, :]
    copies: Points = shape[None, :, :] * size + at
    return copies


def _places(
    stage: Stage, rng: np.random.Generator, number: int, keep: Keep | None
) -> tuple[Floats, Floats, Floats]:
    numbers = rng.random((max(1, number), 3))
    x = (numbers[:, 0] * 1.1 - 0.05) * stage.width
    if keep is not None:
        kept = keep(x)
        numbers, x = numbers[kept], x[kept]
    return x, numbers[:, 1], numbers[:, 2]


def plant_conifers(
    stage: Stage,
    name: str,
    line: Line,
    number: int,
    high: float,
    depth: float,
    *,
    spread: float = 0.5,
    keep: Keep | None = None,
) -> None:
    """Plant conifers along a line.

    Parameters
    ----------
    name
        The stream.
    line
        From columns in pixels to the height of the ground there.
    number
        How many.
    high
        How high, in pixels.
    depth
        How far away: 0 is here, 1 is lost in the haze.
    spread
        By which part of `high` their heights differ.
    keep
        Tells in which columns a tree may stand.
    """
    mood = stage.mood
    x, b, c = _places(stage, stage.stream(name), number, keep)
    if not len(x):
        return
    tall = high * (1.0 - spread * b)
    wide = tall * (0.17 + 0.05 * c)
    y = line(x) + high * 0.05
    outlines = [_many(_CONIFER, x, y, wide, tall), _many(_TRUNK, x, y, wide, tall)]
    winter = stage.scene.season == "winter"
    green = stage.scene.tint("forest") or (
        (62, 96, 104) if winter else (54, 92, 62) if stage.scene.season == "autumn" else (36, 84, 66)
    )
    box = bounds(outlines, stage.picture.size)
    if box[2] <= box[0] or box[3] <= box[1]:
        return
    mass = coverage(outlines, box)
    lay(stage.picture, mass, box, mood.far(green, depth))
    if depth > 0.5:  # too far to tell its sides apart
        return
    turn = -1.0 if stage.sun[0] > stage.width / 2 else 1.0
    halves = _many(_HALF, x, y, wide * turn, tall)
    lay(
        stage.picture, np.minimum(coverage([halves], box), mass), box, mix(mood.shadow, mood.haze, depth), 0.4
    )
    if winter:
        whites = [_many(part, x, y, wide, tall) for part in _SNOW]
        lay(
            stage.picture,
            np.minimum(coverage(whites, box), mass),
            box,
            mix(mood.snow(0.1), mood.haze, depth * 0.8),
            0.92,
        )


def plant_crowns(
    stage: Stage,
    name: str,
    line: Line,
    number: int,
    high: float,
    depth: float,
    *,
    spread: float = 0.45,
    keep: Keep | None = None,
) -> None:
    """Plant leafy trees along a line, with snow on them in winter. See `plant_conifers`."""
    rng = stage.stream(name)
    mood = stage.mood
    hues = leaves(stage)
    x, b, c = _places(stage, rng, number, keep)
    if not len(x):
        return
    tall = high * (1.0 - spread * b)
    y = line(x) + high * 0.03
    trunk = np.array([(-0.05, 0.0), (-0.028, -0.5), (0.028, -0.5), (0.05, 0.0)])
    fill(stage.picture, [_many(trunk, x, y, tall, tall)], mood.far((74, 54, 46), depth))
    # A crown is seven balls around one; the light lies on the sunny upper side of each.
    numbers = rng.random((len(x), 7, 3))
    ring = (np.arange(7) * 0.618) % 1.0
    aside = ring - 0.5
    lift = (numbers[:, :, 0] - 0.5) * 0.34 * (1.2 - np.abs(aside) * 1.6)
    radius = tall[:, None] * (0.13 + 0.09 * numbers[:, :, 1])
    cx = x[:, None] + aside * tall[:, None] * 0.46
    cy = y[:, None] - tall[:, None] * (0.66 + lift)
    toward = 0.22 if stage.sun[0] > stage.width / 2 else -0.22
    size = 0.62 + 0.15 * numbers[:, :, 2]
    kind = (c * len(hues)).astype(np.int64) % len(hues)
    for k, hue in enumerate(hues):
        mine = kind == k
        if not mine.any():
            continue
        r, px, py, s = radius[mine].ravel(), cx[mine].ravel(), cy[mine].ravel(), size[mine].ravel()
        middle = _many(_ROUND, x[mine], (y - tall * 0.66)[mine], tall[mine] * 0.24, tall[mine] * 0.25)
        balls = [_many(_ROUND, px, py, r, r * 0.94), middle]
        box = bounds(balls, stage.picture.size)
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        mass = coverage(balls, box)
        lay(stage.picture, mass, box, mood.far(mix(hue, mood.shadow, 0.26), depth))
        lights = _many(_ROUND, px + r * toward, py - r * 0.26, r * s, r * s * 0.84)
        lay(
            stage.picture,
            np.minimum(coverage([lights], box), mass),
            box,
            mood.far(mix(hue, mood.halo, 0.12), depth),
        )


def scatter(
    stage: Stage, name: str, top: float, number: float
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Scatter places over the ground, smaller and denser far away: x, y, scale 0 to 1, and two free numbers."""
    numbers = stage.stream(name).random((max(1, int(number * min(stage.wide, 2.2))), 4))
    near = numbers[:, 1] * (0.2 + 0.8 * numbers[:, 1])
    y = top + near * (stage.height - top)
    return numbers[:, 0] * stage.width, y, 0.18 + 0.82 * near, numbers[:, 2], numbers[:, 3]


def paint_tufts(stage: Stage, name: str, top: float, colour: RGB, number: float = 130) -> None:
    """Paint tufts of grass, three blades each."""
    if not stage.fine:
        return
    x, y, scale, c, d = scatter(stage, name, top, number)
    high = stage.unit * 0.034 * scale * (0.6 + 0.6 * c)
    half = high * 0.075 + 0.15
    blades = []
    for lean in (-0.55, -0.1, 0.4):
        foot = x + lean * high * 0.3
        tip = x + lean * high * (0.7 + 0.5 * d)
        corners = ((foot - half, y), (tip, y - high * (1 - abs(lean) * 0.4)), (foot + half, y))
        blades.append(np.stack([np.stack(corner, axis=1) for corner in corners], axis=1))
    fill_motley(
        stage,
        name,
        blades,
        [
            stage.mood.far(tone, 0.0)
            for tone in (mix(colour, stage.mood.halo, 0.3), mix(colour, stage.mood.shadow, 0.36))
        ],
    )


def paint_petals(
    stage: Stage, name: str, top: float, hues: Sequence[RGB], number: float = 170, *, size: float = 0.012
) -> None:
    """Strew leaves or petals over the ground, each a lens turned some way."""
    x, y, scale, c, d = scatter(stage, name, top, number)
    long = stage.unit * size * scale * (0.7 + 0.6 * d) + 0.4
    turn = _TURNS[(c * len(_TURNS)).astype(np.int64) % len(_TURNS)]
    lx, ly = _LEAF[None, :, 0], _LEAF[None, :, 1]
    px = (lx * turn[:, :1] - ly * turn[:, 1:]) * long[:, None] + x[:, None]
    py = (lx * turn[:, 1:] + ly * turn[:, :1]) * (long * 0.55)[:, None] + y[:, None]
    lenses = np.stack((px, py), axis=2)
    fill_motley(
        stage, name, [lenses], [stage.mood.far(hue, 0.0) for hue in (*hues, mix(hues[0], (90, 40, 30), 0.4))]
    )


def paint_blooms(stage: Stage, name: str, top: float, hue: RGB, number: float) -> None:
    """Let flowers bloom all over a meadow, each a few petals around a heart."""
    x, y, scale, c, _ = scatter(stage, name, top, number)
    r = stage.unit * 0.0085 * scale * (0.7 + 0.6 * c) + 0.3
    stem = np.array([(-0.12, 0.0), (0.12, 0.0), (0.12, 3.0), (-0.12, 3.0)])
    fill(stage.picture, [_many(stem, x, y, r, r)], stage.mood.far((80, 128, 66), 0.0), 0.8)
    petals = [
        _many(_ROUND[::2], x + dx * r, y + dy * r, r * 0.75, r * 0.62)
        for dx, dy in ((-0.8, 0.0), (0.8, 0.0), (0.0, -0.7), (0.0, 0.6))
    ]
    fill_motley(
        stage,
        name,
        petals,
        [
            stage.mood.far(tone, 0.0)
            for tone in (hue, mix(hue, WHITE, 0.25), mix(hue, stage.mood.shadow, 0.15))
        ],
    )
    fill(
        stage.picture,
        [_many(_ROUND[::2], x, y, r * 0.5, r * 0.42)],
        stage.mood.far((120, 70, 40) if hue[2] < 90 and hue[1] > 150 else (252, 206, 90), 0.0),
    )


def fill_motley(stage: Stage, name: str, polygons: Sequence[Points], tones: Sequence[RGB]) -> None:
    """Fill many small shapes, each with about one of several colours: one mask over a patchwork of them."""
    if not polygons:
        return
    box = bounds(polygons, stage.picture.size)
    if box[2] <= box[0] or box[3] <= box[1]:
        return
    size = (box[2] - box[0], box[3] - box[1])
    patch = max(2, int(stage.unit * 0.026))
    palette = np.array([solid(tone) for tone in tones], np.uint8)
    choice = stage.stream(f"{name} hues").integers(
        0, len(tones), (size[1] // patch + 1, size[0] // patch + 1)
    )
    colours = Image.fromarray(palette[choice]).resize(size, Image.Resampling.NEAREST)
    stage.picture.paste(colours, box, Image.fromarray(coverage(polygons, box)))


_LEAF: Points = np.array([(-1.0, 0.0), (-0.4, -0.46), (0.3, -0.4), (1.0, 0.0), (0.3, 0.4), (-0.4, 0.46)])


_TURNS = np.array(
    [(1.0, 0.0), (0.81, 0.59), (0.31, 0.95), (-0.31, 0.95), (-0.81, 0.59), (0.59, 0.81), (-0.59, 0.81)]
)
