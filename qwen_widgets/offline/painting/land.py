"""The land: ridges of mountains in the haze, hills, dunes and the ground in front."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageChops

from qwen_widgets.offline.painting.brush import (
    RGB,
    Floats,
    Points,
    bend,
    bytes_of,
    cloud_noise,
    coverage,
    lay,
    mix,
    rows_image,
    rows_mask,
    wash,
    wave,
)
from qwen_widgets.offline.painting.stage import Stage

WHITE: RGB = (255.0, 255.0, 255.0)

# The colour of the land by season, under white light; the empty season is a green one.
GRASS: dict[str, RGB] = {
    "": (112, 156, 78), "spring": (138, 184, 88), "summer": (104, 158, 74), "autumn": (192, 128, 58), "winter": (236, 242, 252),
}  # fmt: skip
WOOD: dict[str, RGB] = {
    "": (42, 92, 72), "spring": (70, 124, 78), "summer": (38, 96, 66), "autumn": (150, 84, 42), "winter": (138, 162, 190),
}  # fmt: skip
ROCK: dict[str, RGB] = {
    "": (92, 108, 134), "spring": (104, 122, 146), "summer": (92, 108, 134), "autumn": (128, 108, 112), "winter": (142, 160, 190),
}  # fmt: skip
SAND: RGB = (234, 184, 118)
LEAVES: dict[str, tuple[RGB, ...]] = {
    "": ((74, 130, 62), (96, 150, 66), (54, 112, 64)),
    "spring": ((246, 182, 204), (250, 208, 220), (150, 192, 96)),
    "summer": ((60, 126, 58), (84, 146, 60), (44, 106, 58)),
    "autumn": ((220, 112, 36), (200, 68, 38), (238, 164, 50)),
    "winter": ((236, 242, 250), (220, 230, 244), (206, 220, 238)),
}


def grass(stage: Stage) -> RGB:
    """Give the colour of open ground."""
    return stage.scene.tint("field") or GRASS[stage.scene.season]


def wood(stage: Stage) -> RGB:
    """Give the colour of far woods."""
    return stage.scene.tint("forest") or WOOD[stage.scene.season]


def leaves(stage: Stage) -> tuple[RGB, ...]:
    """Give the colours of leaves, or of the snow that lies on the twigs."""
    tint = stage.scene.tint("leaves")
    if tint is None:
        return LEAVES[stage.scene.season]
    return (tint, mix(tint, WHITE, 0.2), mix(tint, (0, 0, 0), 0.16))


# Ridges -------------------------------------------------------------------------------------------------


def columns(stage: Stage) -> Floats:
    """Give the middle of each second column in units; ridges are lines through these."""
    return np.arange(0, stage.width + 4, 2) / stage.unit


def fill_below(stage: Stage, line: Floats, top: RGB, foot: RGB, bottom: float) -> None:
    """Fill from a line (a height for each second column) down to `bottom`, from one colour to another."""
    upper = max(0, int(line.min()) - 1)
    lower = min(stage.height, int(bottom) + 1)
    if lower <= upper:
        return
    steep = min(lower, max(upper + 1, int(line.max()) + 2))
    x = np.arange(len(line)) * 2.0
    outline = np.concatenate((np.stack((x, line), axis=1), [(x[-1], steep + 2.0), (0.0, steep + 2.0)]))
    colours = rows_image([(0.0, top), (1.0, foot)], (stage.width, lower - upper))
    box = (0, upper, stage.width, steep)
    stage.picture.paste(
        colours.crop((0, 0, stage.width, steep - upper)), box, Image.fromarray(coverage([outline], box))
    )
    if lower > steep:
        stage.picture.paste(colours.crop((0, steep - upper, stage.width, lower - upper)), (0, steep))


def _range(
    stage: Stage, name: str, base: float, rise: float, pitch: float
) -> tuple[Floats, list[tuple[float, float, float, float]]]:
    """Make a range of peaks: its line, and for each peak its place and the valleys beside it, in pixels."""
    rng = stage.stream(name)
    at = columns(stage)
    number = max(2, int(at[-1] / pitch) + 2)
    numbers = rng.random((number * 2 + 1, 2))
    x = (np.arange(number * 2 + 1) * 0.5 - 0.5 + (numbers[:, 0] - 0.5) * 0.34) * pitch
    tall = np.where(
        np.arange(number * 2 + 1) % 2 == 1, 0.5 + 0.5 * numbers[:, 1], 0.08 + 0.34 * numbers[:, 1]
    )
    broken = wave(rng, at / pitch * 3.1, 5, sharp=True)
    line = np.interp(at, x, tall) + broken * 0.13
    pixels = base - np.maximum(np.round(line, 6), 0.02) * rise
    unit = stage.unit
    peaks = [
        (
            float(x[k]) * unit,
            base - float(tall[k]) * rise * 1.06,
            float(x[k - 1]) * unit,
            float(x[k + 1]) * unit,
        )
        for k in range(1, number * 2, 2)
    ]
    return pixels, peaks


def range_line(stage: Stage, name: str, base: float, rise: float, pitch: float) -> Floats:
    """Give the line of a range of mountains, in pixels; see `paint_mountains`."""
    return _range(stage, name, base, rise, pitch)[0]


def paint_mountains(
    stage: Stage, name: str, base: float, rise: float, pitch: float, depth: float, *, snow: float
) -> Floats:
    """Paint a range of mountains with a sunny and a shady side.

    Parameters
    ----------
    name
        The stream.
    base, rise
        The foot, in pixels from the top, and the height above it, in pixels.
    pitch
        From peak to peak, in units.
    depth
        How far away: 0 is here, 1 is lost in the haze.
    snow
        How much of the height is white, 0 to 1.
    """
    mood = stage.mood
    line, peaks = _range(stage, name, base, rise, pitch)
    rock = stage.scene.tint("mountain") or ROCK[stage.scene.season]
    top, foot = mood.far(rock, depth), mix(mood.far(mix(rock, wood(stage), 0.4), depth), mood.haze, 0.5)
    upper, lower = max(0, int(line.min()) - 1), min(stage.height, int(base) + 1)
    if lower <= upper:
        return line
    box = (0, upper, stage.width, lower)
    x = np.arange(len(line)) * 2.0
    rng = stage.stream(f"{name} faces")
    whole = np.concatenate((np.stack((x, line), axis=1), [(x[-1], base), (0.0, base)]))
    mass = coverage([whole], box)
    colours = rows_image([(0.0, top), (0.35, top), (1.0, foot)], (stage.width, lower - upper))
    stage.picture.paste(colours, box, Image.fromarray(mass))
    if snow > 0:
        jag = wave(rng, x / stage.unit / pitch * 7.0, 4, sharp=True)
        snowline = base - rise * (1.0 - snow) + jag * rise * 0.15
        cap = np.concatenate(
            (np.stack((x, line), axis=1), np.stack((x, np.maximum(line, snowline)), axis=1)[::-1])
        )
        # Not one simple polygon: the strip closes on itself where there is no snow, and covers nothing there.
        white_box = (0, upper, stage.width, min(lower, max(upper + 1, int(snowline.max()) + 1)))
        white = coverage([cap], white_box)
        lay(
            stage.picture,
            np.minimum(white, mass[: len(white)]),
            white_box,
            mood.far((246, 250, 255), depth * 0.8),
        )
    faces: list[Points] = []
    for px, py, before, after in peaks:
        away = after if stage.sun[0] < px else before
        turn = 1.0 if away > px else -1.0
        path, point = [(px, py - rise)], (px, py)
        steps = 7
        for k, (a, b) in enumerate(rng.random((steps, 2)).tolist()):
            path.append(point)
            swing = (0.55 if k % 2 else -0.42) * (0.5 + a)
            drop = (base - py) / steps * (0.7 + 0.6 * b)
            point = (point[0] + turn * swing * rise * 0.14 - turn * rise * 0.012, point[1] + drop)
        path += [(point[0], base + 2), (away, base + 2), (away, py - rise)]
        faces.append(np.array(path))
    # The haze takes the feet of the mountains, and their shadows with them.
    fade = rows_mask([(0.0, 0.36), (0.4, 0.34), (1.0, 0.04)], (stage.width, lower - upper))
    shade = ImageChops.multiply(Image.fromarray(np.minimum(coverage(faces, box), mass)), fade)
    wash(stage.picture, mix(mood.shadow, mood.haze, depth), box, shade)
    return line


def hill_line(stage: Stage, name: str, base: float, rise: float, pitch: float, octaves: int = 3) -> Floats:
    """Give the line of soft hills, in pixels."""
    at = columns(stage)
    return base - rise * (0.5 + np.round(wave(stage.stream(name), at / pitch, octaves), 6) * 0.75)


def paint_hills(
    stage: Stage,
    name: str,
    base: float,
    rise: float,
    pitch: float,
    depth: float,
    colour: RGB,
    *,
    foot: float | None = None,
    octaves: int = 3,
) -> Floats:
    """Paint soft hills down to `foot`; more haze lies in the valley than on the crest."""
    mood = stage.mood
    line = hill_line(stage, name, base, rise, pitch, octaves)
    top = mood.far(colour, depth)
    fill_below(
        stage,
        line,
        top,
        mix(top, mood.haze, 0.45 if foot is None else 0.12),
        base + stage.unit * 0.25 if foot is None else foot,
    )
    return line


def paint_dunes(
    stage: Stage, name: str, base: float, rise: float, pitch: float, depth: float, foot: float
) -> Floats:
    """Paint dunes: a crest, and beside it the side that lies in shadow."""
    mood = stage.mood
    rng = stage.stream(name)
    at = columns(stage)
    number = int(at[-1] / pitch) + 3
    numbers = rng.random((number, 2))
    crests = (np.arange(number) - 0.6 + numbers[:, 0] * 0.5) * pitch
    line = np.zeros_like(at)
    for k in range(number):
        away = (at - crests[k]) / (pitch * (0.75 + 0.4 * numbers[k, 1]))
        shape = np.clip(1.0 - np.abs(away), 0, 1)
        line = np.maximum(line, shape * shape * (1.6 - 0.6 * shape) * (0.55 + 0.45 * numbers[k, 1]))
    pixels = base - rise * (np.round(line, 6) + 0.02)
    sand = stage.scene.tint("desert") or SAND
    if stage.scene.season == "winter":
        sand = mix(sand, (238, 238, 244), 0.7)
    top = mood.far(mix(sand, WHITE, 0.12), depth)
    fill_below(stage, pixels, top, mix(mood.far(mix(sand, (150, 90, 70), 0.2), depth), mood.haze, 0.06), foot)
    right = stage.sun[0] < stage.width / 2
    shades: list[Points] = []
    for k in range(number):
        x = float(crests[k]) * stage.unit
        column = min(max(int(x / 2), 0), len(pixels) - 1)
        if x < -stage.unit * pitch or x > stage.width + stage.unit * pitch:
            continue
        y = float(pixels[column])
        turn = 1.0 if right else -1.0
        length = pitch * stage.unit * (0.5 + 0.3 * float(numbers[k, 0]))
        fall = min(rise * 1.6, foot - y)
        curve = [
            (x, y - rise), (x, y), (x + turn * length * 0.06, y + fall * 0.16), (x - turn * length * 0.03, y + fall * 0.34),
            (x + turn * length * 0.1, y + fall * 0.58), (x + turn * length * 0.34, y + fall * 0.8),
            (x + turn * length * 0.98, y + fall * 0.98), (x + turn * length * 1.05, y - rise),
        ]  # fmt: skip
        middle = _smooth(curve[1:-1])
        shades.append(np.concatenate(([curve[0]], middle, [curve[-1]])))
    if shades:
        box = (0, max(0, int(pixels.min()) - 1), stage.width, min(stage.height, int(foot) + 1))
        if box[3] > box[1]:
            at_column = np.arange(len(pixels)) * 2.0
            whole = np.concatenate(
                (np.stack((at_column, pixels), axis=1), [(at_column[-1], foot), (0.0, foot)])
            )
            mask = np.minimum(coverage(shades, box), coverage([whole], box))
            lay(stage.picture, mask, box, mix(mix(mood.shadow, (150, 70, 80), 0.35), mood.haze, depth), 0.34)
    return pixels


def _smooth(points: Sequence[tuple[float, float]]) -> Points:
    return bend(*points, closed=False, steps=5)


def paint_ground(
    stage: Stage, name: str, top: float, colour: RGB, *, roll: float = 0.03, depth: float = 0.0
) -> Floats:
    """Paint the ground from about `top` to the bottom, with soft light and shade on it."""
    mood = stage.mood
    line = hill_line(stage, name, top, stage.unit * roll, 0.9, 2)
    near, far = (
        mood.far(mix(colour, mood.shadow, 0.24), depth),
        mood.far(mix(colour, WHITE, 0.08), depth + 0.16),
    )
    light, dark = mood.far(mix(colour, mood.halo, 0.4), depth), mood.shadow
    if colour == GRASS["winter"]:
        near, far, light, dark = (
            mood.snow(0.85),
            mood.snow(0.2),
            mood.snow(0.0),
            mix(mood.snow(1.0), mood.shadow, 0.12),
        )
    fill_below(stage, line, far, near, stage.height)
    upper = max(0, int(line.min()))
    high = stage.height - upper
    if high < 8:
        return line
    rows, wide = max(8, high // 6), max(8, stage.width // 6)
    noise = cloud_noise(
        stage.stream(f"{name} light"), (rows, wide), (4.0 * high / stage.unit + 1.0, 1.4 * stage.wide), 3
    )
    steep = np.clip((np.arange(rows)[:, None] / rows) * 3.0, 0, 1)
    box = (0, upper, stage.width, stage.height)
    for field, tone, strength in (
        (np.clip(noise * 3 - 1.6, 0, 1), light, 0.6),
        (np.clip(1.25 - noise * 3, 0, 1), dark, 0.3 if dark == mood.shadow else 0.7),
    ):
        mask = Image.fromarray(bytes_of(field * steep * strength)).resize(
            (stage.width, high), Image.Resampling.BILINEAR
        )
        wash(stage.picture, tone, box, mask)
    return line


def at_line(line: Floats) -> Callable[[Floats], Floats]:
    """Give the heights of a line at columns in pixels."""
    return lambda x: line[np.clip(x / 2, 0, len(line) - 1).astype(np.int64)]
