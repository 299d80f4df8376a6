"""Water: what it reflects, the waves of the sea, breakers in a storm, and the banks of a river."""

from __future__ import annotations

import numpy as np
from PIL import Image

from qwen_widgets.offline.painting import land
from qwen_widgets.offline.painting.brush import (
    RGB,
    Points,
    bounds,
    bytes_of,
    coverage,
    fill,
    lattice,
    lay,
    lit,
    mix,
    rows_image,
    rows_mask,
    stroke,
    wash,
    wave,
)
from qwen_widgets.offline.painting.stage import Stage


def paint_water(
    stage: Stage,
    top: float,
    bottom: float,
    *,
    rough: float = 0.4,
    mirror: float = 0.75,
    colour: RGB | None = None,
) -> None:
    """Paint water that reflects what stands above it.

    Parameters
    ----------
    top, bottom
        From where to where, in pixels.
    rough
        How much the ripples move the reflection.
    mirror
        How clear the reflection is, 0 to 1.
    colour
        The water's own colour; by default that of the sky and the hour.
    """
    picture, mood, unit = stage.picture, stage.mood, stage.unit
    upper, lower = int(top), min(stage.height, int(bottom))
    high = lower - upper
    if high < 4 or upper < 4:
        return
    size = (stage.width, high)
    seen = min(upper, int(high * 1.25))
    # Half as many columns will do for what ripples blur anyway.
    half = max(4, stage.width // 2)
    above = picture.crop((0, upper - seen, stage.width, upper)).resize(
        (half, high), Image.Resampling.BILINEAR, reducing_gap=1.0
    )
    pixels = (
        np.asarray(above.transpose(Image.Transpose.FLIP_TOP_BOTTOM).convert("RGBX"))
        .view(np.uint32)
        .reshape(-1)
    )
    rng = stage.stream("water")
    y = np.arange(high) / unit
    # Rows crowd towards the horizon, as they do in perspective.
    rows = np.round(90.0 * y / (0.16 + y), 6)
    quarter = max(4, stage.width // 8)
    x = np.arange(quarter) * (stage.wide / quarter)
    fine = lattice(rng, rows, x * 7.0) * 0.6 + lattice(rng, rows * 2.1, x * 17.0) * 0.4
    ripples = np.asarray(
        Image.fromarray(bytes_of(fine)).resize((half, high), Image.Resampling.BILINEAR)
    ).astype(np.int32)
    reach = (np.clip(y / 0.3, 0.05, 1.0) * rough * unit * 0.1 * 256).astype(np.int32)[:, None]
    ripples -= 128
    ripples *= reach
    ripples >>= 16
    across = np.clip(np.arange(half, dtype=np.int32) + ripples, 0, half - 1)
    down = np.clip(np.arange(high, dtype=np.int32)[:, None] + ripples, 0, high - 1)
    down *= half
    down += across
    moved = pixels[down]
    mirrored = (
        Image.frombytes("RGBX", (half, high), moved.tobytes())
        .convert("RGB")
        .resize(size, Image.Resampling.BILINEAR)
    )
    own = colour or mix(mix(mood.sky[1], mood.sky[2], 0.4), (20, 70, 90), 0.25 if not mood.dark else 0.1)
    tint = stage.scene.tint("lake") or stage.scene.tint("sea") or stage.scene.tint("river")
    if tint is not None:
        own = mix(own, lit(tint, mood.light), 0.75)
    edge = min(0.3, unit * 0.05 / high)
    depths = rows_image(
        [(0.0, mix(own, mood.haze, 0.6)), (0.25, own), (1.0, mix(own, mood.shadow, 0.55))], size
    )
    clear = rows_mask([(0.0, mirror * 0.55), (edge, mirror), (1.0, mirror * 0.5)], size)
    depths.paste(mirrored, (0, 0), clear)
    # Light on the ripples: a little everywhere, much of it below the sun.
    dx = (np.arange(quarter) + 0.5) * (stage.width / quarter) - stage.sun[0]
    lane = dx / (unit * (0.035 + 0.13 * np.sqrt(y))[:, None])
    path = 1.0 / (1.0 + lane * lane * lane * lane)
    sunny = 0.0 if mood.halo_strength < 0.2 else (0.9 if mood.height < 0.3 or mood.moon else 0.34)
    flecks = np.clip((fine - 0.5) * 6.0, 0, 1) * path * sunny
    streaks = np.clip((fine - 0.7) * 5.0, 0, 1) * 0.26
    for part, tone in ((streaks, mood.sky[3]), (flecks, mix(mood.halo, mood.sun, 0.6))):
        mask = Image.fromarray(bytes_of(np.round(part, 5))).resize(size, Image.Resampling.BILINEAR)
        wash(depths, tone, (0, 0, stage.width, high), mask)
    picture.paste(depths, (0, upper))


def sea_colour(stage: Stage) -> RGB:
    """Give the colour of the sea itself, in this weather and light."""
    mood = stage.mood
    base: RGB = (30, 104, 134)
    if "storm" in stage.scene.weather:
        base = (44, 74, 88)
    if "beach" in stage.scene.places:
        base = (40, 156, 172)
    return mix(mood.far(base, 0.0), mood.sky[2], 0.3)


def paint_waves(stage: Stage, top: float, bottom: float, *, storm: bool) -> None:
    """Lay rows of crests over the sea, wider apart as they come near; in a storm they break."""
    if storm:
        _breakers(stage, top, bottom)
        return
    rng = stage.stream("waves")
    unit, mood = stage.unit, stage.mood
    foam: list[Points] = []
    at = land.columns(stage)
    x = np.arange(len(at)) * 2.0
    for k in range(6):
        t = (k + 0.6) / 6
        y = top + (bottom - top) * t * t
        rise = unit * 0.02 * (0.15 + t)
        crest = y - rise * (0.5 + np.round(np.abs(wave(rng, at / (0.1 + 0.3 * t), 3)), 6))
        shade = mix(mix(sea_colour(stage), mood.shadow, 0.16 + 0.34 * t), mood.haze, 0.34 * (1 - t))
        under = np.minimum(crest + rise * 1.8, bottom + 4)
        body = np.concatenate((np.stack((x, crest), axis=1), np.stack((x, under), axis=1)[::-1]))
        fill(stage.picture, [body], shade, 0.3)
        for a, b in rng.random((int(5 * stage.wide), 2)).tolist():
            start, long = int(a * len(at)), int((0.03 + 0.12 * b) * unit * (0.3 + t) / 2)
            part = slice(start, min(len(at), start + max(4, long)))
            if part.stop - part.start < 3:
                continue
            bow = np.linspace(-1, 1, part.stop - part.start)
            thick = (rise * 0.09 + 0.3) * (1 - bow * bow)
            foam.append(
                np.concatenate(
                    (
                        np.stack((x[part], crest[part] - thick * 0.3), axis=1),
                        np.stack((x[part], crest[part] + thick), axis=1)[::-1],
                    )
                )
            )
    fill(stage.picture, foam, mix(mood.far((250, 252, 255), 0.1), mood.halo, 0.15), 0.72)


def _breakers(stage: Stage, top: float, bottom: float) -> None:
    """Roll rows of waves with sharp crests and foam on them towards the viewer."""
    unit, mood = stage.unit, stage.mood
    at = land.columns(stage)
    x = np.arange(len(at)) * 2.0
    sea = sea_colour(stage)
    rows = 6
    for k in range(rows):
        rng = stage.stream(f"breaker {k}")
        t = (k + 0.45) / rows
        y = top + (bottom - top) * (0.12 * t + 0.88 * t * t) + unit * 0.03 * t
        rise = unit * (0.016 + 0.085 * t)
        pitch = 0.1 + 0.34 * t
        # Between the knots a trough, at each knot a crest of its own height.
        place = at / pitch + float(rng.random())
        place += 0.3 * np.round(wave(rng, at / pitch * 0.4, 2), 6)
        place -= min(0.0, float(place.min()))
        index = place.astype(np.int64)
        part = place - index
        high = rng.random(int(index.max()) + 3) * 0.75 + 0.25
        peaks = high[index] * (1 - part) + high[index + 1] * part
        cusp = (2 * part - 1) * (2 * part - 1)
        crest = y - rise * peaks * cusp
        tone = mix(mix(sea, (24, 50, 66), 0.1 + 0.5 * t), mood.haze, 0.42 * (1 - t))
        land.fill_below(stage, crest, tone, tone, bottom)
        inner = np.stack((x, crest + rise * (0.2 + 0.55 * cusp * peaks)), axis=1)
        band = np.concatenate((np.stack((x, crest), axis=1), inner[::-1]))
        fill(stage.picture, [band], mix(tone, (120, 176, 180), 0.34), 0.75)
        torn = np.round(np.abs(wave(rng, at / pitch * 9.0, 3)), 6)
        thick = rise * np.clip(cusp * cusp * peaks * 1.25 - 0.12, 0, 1) * (0.16 + 0.9 * torn) * 0.55
        foam = np.concatenate(
            (np.stack((x, crest - thick * 0.12), axis=1), np.stack((x, crest + thick), axis=1)[::-1])
        )
        fill(stage.picture, [foam], mix((236, 244, 248), mood.haze, 0.35 * (1 - t)), 0.92)


def paint_river_banks(stage: Stage, top: float) -> None:
    """Close the water in from both sides, so that a river winds towards the viewer."""
    rng = stage.stream("river")
    middle = stage.width * (0.42 + 0.16 * float(rng.random()))
    swing = stage.width * 0.16 * (1.0 if rng.random() < 0.5 else -1.0)
    high = stage.height - top
    steps = 24
    left, right = [], []
    for k in range(steps + 1):
        t = k / steps
        centre = middle + swing * (t * (1 - t) * 3.2) * (1.0 if t < 0.5 else 0.6) - swing * 0.4 * (1 - t)
        half = stage.unit * (0.014 + 0.36 * t * t + 0.16 * t)
        y = top + high * t
        left.append((centre - half, y))
        right.append((centre + half, y))
    colour = land.grass(stage)
    for points, side in ((left, -10.0), (right, stage.width + 10.0)):
        shape = np.array([(side, top), *points, (side, stage.height + 4.0)])
        box = bounds([shape], stage.picture.size)
        if box[2] > box[0]:
            mask = coverage([shape], box)
            lay(stage.picture, mask, box, stage.mood.far(mix(colour, land.WHITE, 0.06), 0.12))
            lay(
                stage.picture,
                (mask * np.linspace(0, 0.5, mask.shape[0])[:, None]).astype(np.uint8),
                box,
                stage.mood.far(mix(colour, stage.mood.shadow, 0.6), 0),
            )
            rim = stroke(np.array(points), stage.unit * 0.004, stage.unit * 0.02)
            fill(stage.picture, [rim], stage.mood.far(mix(colour, (90, 70, 60), 0.6), 0.1))
