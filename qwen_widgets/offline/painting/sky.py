"""The sky and what falls from it: sun, moon, stars, clouds, aurora, rainbow, lightning, rain and snow."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageChops

from qwen_widgets.offline.painting.brush import (
    RGB,
    Floats,
    Points,
    bytes_of,
    cloud_noise,
    coverage,
    enlarge,
    fill,
    glow,
    lay,
    mix,
    oval,
    stroke,
    wash,
    wave,
)
from qwen_widgets.offline.painting.stage import Stage

#: Soft layers are computed at this part of the picture's size.
SOFT = 6


def soft_size(stage: Stage, height: float | None = None) -> tuple[int, int]:
    """Give rows and columns of a soft layer over the upper part of the picture."""
    return max(8, int((stage.height if height is None else height) / SOFT)), max(8, stage.width // SOFT)


def paint_sky(stage: Stage) -> None:
    """Paint the gradient of the sky and the light around the sun."""
    mood = stage.mood
    rows, columns = soft_size(stage)
    reach = max(stage.horizon * 1.04, 1.0)
    y = (np.arange(rows) + 0.5) * (stage.height / rows)
    x = (np.arange(columns) + 0.5) * (stage.width / columns)
    at = np.minimum(y / reach, 1.0)
    stops = (0.0, 0.42, 0.76, 1.0)
    layers = []
    dx, dy = (x - stage.sun[0]) / stage.unit, (y - stage.sun[1]) / stage.unit
    # Wider than high, as haze near the horizon spreads it.
    away = np.sqrt(dx * dx * 0.7 + (dy * dy)[:, None] * 1.3)
    halo = mood.halo_strength / (1.0 + away * away * 14.0)
    # The light close to the disc, where the sun or the moon is out.
    if not stage.scene.weather & {"storm", "rain"}:
        close = np.clip(1.0 - np.sqrt(dx * dx + (dy * dy)[:, None]) / 0.3, 0, 1)
        halo = halo + (1.0 - halo) * close * close * (0.62 if mood.moon else 0.7)
    for channel in range(3):
        column = np.interp(at, stops, [colour[channel] for colour in mood.sky])[:, None]
        layers.append(column + (mood.halo[channel] - column) * halo)
    field = np.floor(np.clip(np.stack(layers, axis=2), 0, 255) + 0.5).astype(np.uint8)
    stage.picture = enlarge(Image.fromarray(field), stage.picture.size)


def paint_lights(stage: Stage) -> None:
    """Paint what shines high in the sky, behind the clouds: stars, aurora, meteors."""
    mood, weather = stage.mood, stage.scene.weather
    if mood.stars > 0.02:
        paint_stars(stage, mood.stars, stage.horizon, rich="stars" in weather)
    if "aurora" in weather:
        _aurora(stage)
    if "meteor" in weather:
        _meteors(stage)


def paint_sun(stage: Stage) -> None:
    """Paint the disc of the sun or the moon."""
    mood, unit = stage.mood, stage.unit
    x, y = stage.sun
    moon = mood.moon or ("moon" in stage.scene.weather and "sun" not in stage.scene.weather)
    radius = unit * (0.047 if moon else 0.05 if mood.height < 0.4 else 0.036)
    tint = stage.scene.tint("moon")
    if moon:
        colour = mix(tint, (255, 255, 255), 0.2) if tint else mood.sun
        fill(stage.picture, [oval(x, y, radius)], colour)
        grey = mix(colour, mood.sky[1], 0.22)
        spots = [oval(x + a * radius, y + b * radius, c * radius, c * radius * 0.86) for a, b, c in _MARIA]
        fill(stage.picture, spots, grey, 0.75)
    else:
        fill(stage.picture, [oval(x, y, radius)], mood.sun)


_MARIA = (
    (-0.32, -0.28, 0.3), (0.08, -0.46, 0.19), (0.3, -0.1, 0.25), (-0.1, 0.2, 0.17), (-0.5, 0.2, 0.2), (0.24, 0.46, 0.14),
)  # fmt: skip


def paint_stars(stage: Stage, share: float, bottom: float, *, rich: bool = False) -> None:
    """Paint stars down to a line, fewer towards it."""
    rng = stage.stream("stars")
    unit, picture = stage.unit, stage.picture
    number = int((160 if rich else 130) * min(stage.wide, 2.2) * min(2.0, bottom / unit + 0.3))
    numbers = rng.random((number, 4))
    pixels = np.asarray(picture.crop((0, 0, stage.width, max(1, int(bottom))))).copy()
    for a, b, c, d in numbers.tolist():
        if d > share:
            continue
        x, y = a * stage.width, b * b * bottom * 0.4 + b * bottom * 0.6
        bright = c * c * c * c
        fade = (1.0 - y / max(bottom, 1.0)) * 0.75 + 0.25
        radius = unit * (0.0009 + 0.0019 * bright) + 0.25
        _dot(pixels, x, y, radius, (0.35 + 0.65 * bright) * fade)
    picture.paste(Image.fromarray(pixels))
    if rich:
        _milky_way(stage, bottom)


def _dot(
    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], x: float, y: float, radius: float, opacity: float
) -> None:
    reach = int(radius) + 2
    left, top = int(x) - reach, int(y) - reach
    if left < 0 or top < 0 or left + 2 * reach + 1 > pixels.shape[1] or top + 2 * reach + 1 > pixels.shape[0]:
        return
    side = np.arange(2 * reach + 1) + 0.5
    dx, dy = side + (left - x), side + (top - y)
    share = np.clip(radius + 0.5 - np.sqrt(dx * dx + (dy * dy)[:, None]), 0.0, 1.0)[:, :, None] * opacity
    patch = pixels[top : top + 2 * reach + 1, left : left + 2 * reach + 1]
    patch += ((255 - patch) * share + 0.5).astype(np.uint8)


def _milky_way(stage: Stage, bottom: float) -> None:
    rng = stage.stream("milky way")
    rows, columns = soft_size(stage, bottom)
    slope, middle = 0.5 + 0.7 * float(rng.random()), 0.2 + 0.5 * float(rng.random())
    if rng.random() < 0.5:
        slope = -slope
    x, y = np.arange(columns) / columns, (np.arange(rows) / rows)[:, None]
    away = np.abs(x - middle - slope * (y - 0.5)) / 0.17
    noise = cloud_noise(rng, (rows, columns), (4, 4 * stage.wide), 5, 0.6)
    band = np.clip(1.0 - away, 0, 1) * np.clip(noise * 2.2 - 0.6, 0, 1) * 0.62
    light = Image.fromarray(bytes_of(band)).resize(
        (stage.width, max(1, int(bottom))), Image.Resampling.BICUBIC
    )
    wash(stage.picture, (188, 186, 226), (0, 0, *light.size), light)


# Clouds -------------------------------------------------------------------------------------------------


def paint_clouds(stage: Stage) -> None:
    """Paint the clouds and the sun among them: streaks at a low one, heaps by day, a ceiling in bad weather."""
    scene, mood = stage.scene, stage.mood
    covered = bool(scene.weather & {"storm"}) or ("rain" in scene.weather and "sun" not in scene.weather)
    clear = "clear" in scene.weather or bool(scene.weather & {"storm", "rain", "snowfall"})
    # A low sun shines through the streaks; the heaps pass in front of it.
    if (mood.height < 0.3 or mood.moon) and not clear:
        _streaks(stage, more="clouds" in scene.weather)
    if not covered or "moon" in scene.weather:
        paint_sun(stage)
    if scene.weather & {"storm", "rain", "snowfall"}:
        _ceiling(stage)
    if clear:
        return
    if (mood.height >= 0.2 and not mood.moon) or "clouds" in scene.weather:
        _heaps(stage, more="clouds" in scene.weather)


def _streaks(stage: Stage, *, more: bool) -> None:
    rng = stage.stream("streaks")
    mood = stage.mood
    reach = max(8, int(stage.horizon))
    rows, columns = soft_size(stage, reach)
    field = cloud_noise(rng, (rows, columns), (7.0 * reach / stage.unit, 1.5 * stage.wide), 5, 0.52)
    y = ((np.arange(rows) + 0.5) / rows)[:, None]
    # Thickest in a band between the horizon and the middle of the sky.
    band = 1.0 - np.abs(y - (0.5 + 0.16 * float(rng.random()))) * 1.5
    dense = field + 0.24 * band + (0.1 if more else 0.02) - (0.06 if mood.moon else 0.0)
    edge = np.clip((dense - 0.62) * 3.6, 0, 1)
    below = _moved(field, 2)
    light = np.clip(0.5 + (below - field) * 5.0, 0, 1)
    _lay_soft(stage, edge * (0.85 if not mood.moon else 0.6), (0, 0, stage.width, reach), mood.cloud_shade)
    _lay_soft(stage, edge * light * 0.9, (0, 0, stage.width, reach), mood.cloud)


def _moved(field: Floats, rows: int) -> Floats:
    """Give the field some rows further down (or up), its edge repeated."""
    index = np.clip(np.arange(len(field)) + rows, 0, len(field) - 1)
    moved: Floats = field[index]
    return moved


def _lay_soft(stage: Stage, field: Floats, box: tuple[int, int, int, int], colour: RGB) -> None:
    # What is thin shows no corners, and comes up to size in half the time.
    how = Image.Resampling.BICUBIC if float(field.max()) > 0.6 else Image.Resampling.BILINEAR
    mask = Image.fromarray(bytes_of(field)).resize((box[2] - box[0], box[3] - box[1]), how)
    wash(stage.picture, colour, box, mask)


def _heaps(stage: Stage, *, more: bool) -> None:
    rng = stage.stream("heaps")
    mood, unit = stage.mood, stage.unit
    number = (7 if more else 4) * max(1, round(stage.wide / 1.2))
    shift = float(rng.random())
    numbers = rng.random((number, 4)).tolist()
    toward = 1.0 if stage.sun[0] > stage.width / 2 else -1.0
    for k, (a, b, c, _) in enumerate(sorted(numbers, key=lambda row: row[1], reverse=True)):
        puff = np.random.Generator(np.random.PCG64(int(a * 2**40)))
        # Small ones lie near the horizon, big ones overhead.
        high = 0.1 + 0.68 * ((k + b) / number)
        y = stage.horizon * (1.0 - high)
        scale = unit * (0.035 + 0.085 * high) * (0.7 + 0.7 * c)
        x = stage.width * ((shift + k * 0.618 + a * 0.3) % 1.0)
        heap = _heap(puff, x, y, scale)
        air = 0.5 * (1.0 - high)
        shade, top = mix(mood.cloud_shade, mood.sky[3], air), mix(mood.cloud, mood.sky[3], air * 0.6)
        # Two tones: the same heap in light, moved towards the sun, cut to the heap.
        left, upper = min(p[:, 0].min() for p in heap), min(p[:, 1].min() for p in heap)
        right = max(p[:, 0].max() for p in heap)
        box = (
            max(0, int(left) - 1),
            max(0, int(upper) - 1),
            min(stage.width, int(right) + 2),
            min(stage.height, int(y) + 1),
        )
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        body = coverage(heap, box)
        lay(stage.picture, body, box, shade, 0.9)
        moved = [(p - (x, y)) * (0.97, 0.94) + (x + toward * scale * 0.1, y - scale * 0.17) for p in heap]
        light = np.minimum(coverage(moved, box), body)
        lay(stage.picture, light, box, top, 0.95)


def _heap(rng: np.random.Generator, x: float, y: float, scale: float) -> list[Points]:
    half = 1.3 + 1.1 * float(rng.random())
    parts = []
    for a, b in rng.random((9, 2)).tolist():
        offset = (a * 2 - 1) * half
        rise = 1.0 - (offset / half) * (offset / half)
        radius = scale * (0.26 + 0.5 * rise * (0.6 + 0.4 * b))
        parts.append(oval(x + offset * scale, y - radius * (0.5 + 0.45 * b * rise), radius))
    parts.append(oval(x, y - scale * 0.16, scale * half * 1.12, scale * 0.17))
    return [np.minimum(part, (1e9, y)) for part in parts]


def _ceiling(stage: Stage) -> None:
    rng = stage.stream("ceiling")
    mood = stage.mood
    reach = max(8, int(stage.horizon))
    rows, columns = soft_size(stage, reach)
    y = ((np.arange(rows) + 0.5) / rows)[:, None]
    field = cloud_noise(rng, (rows, columns), (3.4 * reach / stage.unit, 2.0 * stage.wide), 5, 0.5)
    heavy = "storm" in stage.scene.weather
    dark = np.clip((field + 0.3 * (1 - y) - 0.52) * (3.2 if heavy else 2.4), 0, 1) * (1.0 - y * 0.5)
    above = _moved(field, -3)
    rim = np.clip((field - above) * 6.0, 0, 1) * np.clip(1.5 - np.abs(y - 0.5) * 2, 0, 1)
    deep = mix(mood.cloud_shade, (16, 20, 34), 0.45 if heavy else 0.1)
    box = (0, 0, stage.width, reach)
    _lay_soft(stage, dark * (0.95 if heavy else 0.7), box, deep)
    _lay_soft(stage, rim * (0.7 if heavy else 0.5), box, mix(mood.cloud, mood.sky[3], 0.3))


# What is rare -------------------------------------------------------------------------------------------


def _aurora(stage: Stage) -> None:
    rng = stage.stream("aurora")
    reach = max(8, int(stage.horizon))
    rows, columns = soft_size(stage, reach)
    x = np.arange(columns) / columns
    y = (np.arange(rows) / rows)[:, None]
    hues: list[tuple[RGB, RGB]] = [
        ((70, 255, 170), (110, 90, 240)),
        ((40, 220, 200), (220, 80, 200)),
        ((120, 255, 140), (60, 140, 240)),
    ]
    glowing = np.zeros((rows, columns, 3))
    for k in range(3):
        smooth = 0.7 - 0.14 * k + 0.16 * wave(rng, x * 3.4, 2)
        folds = 0.45 + 0.55 * np.interp(x * 40 * min(stage.wide, 2), np.arange(120), rng.random(120))
        above = (smooth - y) / (0.34 + 0.1 * k)
        curtain = np.where(above >= 0, np.clip(1.0 - above, 0, 1), np.clip(1.0 + above * 14.0, 0, 1))
        strength = curtain * curtain * folds * (0.75 - 0.17 * k)
        low, top = hues[k]
        for c in range(3):
            glowing[:, :, c] += strength * (low[c] + (top[c] - low[c]) * np.clip(above, 0, 1)) / 255
    light = Image.fromarray(bytes_of(np.round(glowing, 5))).resize(
        (stage.width, reach), Image.Resampling.BICUBIC
    )
    box = (0, 0, stage.width, reach)
    stage.picture.paste(ImageChops.screen(stage.picture.crop(box), light), box)


def _meteors(stage: Stage) -> None:
    rng = stage.stream("meteors")
    unit = stage.unit
    side = 1.0 if rng.random() < 0.5 else -1.0
    for a, b, c in rng.random((4, 3)).tolist():
        x, y = stage.width * (0.1 + 0.8 * a), stage.horizon * (0.08 + 0.5 * b)
        length = unit * (0.1 + 0.16 * c)
        tail = np.array(
            [(x, y), (x + side * length * 0.5, y - length * 0.26), (x + side * length, y - length * 0.52)]
        )
        fill(stage.picture, [stroke(tail, unit * 0.006, 0.2)], (255, 250, 230), 0.5)
        fill(
            stage.picture,
            [stroke(tail[:2], unit * 0.006, 0.6), oval(x, y, unit * 0.0042)],
            (255, 253, 242),
            0.9,
        )


def paint_rainbow(stage: Stage) -> None:
    """Paint a rainbow opposite the sun."""
    rng = stage.stream("rainbow")
    unit = stage.unit
    radius = unit * (0.52 + 0.1 * float(rng.random()))
    x = stage.width * (0.66 if stage.sun[0] < stage.width / 2 else 0.34)
    y = stage.horizon + unit * 0.08
    reach = max(8, int(stage.horizon))
    rows, columns = max(8, reach // 3), max(8, stage.width // 3)
    dx = (np.arange(columns) + 0.5) * (stage.width / columns) - x
    dy = (np.arange(rows) + 0.5) * (reach / rows) - y
    away = (np.sqrt(dx * dx + (dy * dy)[:, None]) - radius) / (unit * 0.075)
    stops = [0.0, 0.1, 0.26, 0.42, 0.58, 0.76, 0.92, 1.0]
    bands = [
        (150, 90, 220),
        (120, 90, 230),
        (70, 130, 240),
        (80, 210, 130),
        (250, 230, 90),
        (250, 150, 60),
        (240, 70, 60),
        (240, 70, 60),
    ]
    field = np.stack([np.interp(away, stops, [band[c] for band in bands]) for c in range(3)], axis=2) / 255
    inside = np.clip(np.minimum(away, 1.0 - away) * 6.0, 0, 1) * 0.5
    size = (stage.width, reach)
    colours = Image.fromarray(bytes_of(np.round(field, 5))).resize(size, Image.Resampling.BICUBIC)
    mask = Image.fromarray(bytes_of(np.round(inside, 5))).resize(size, Image.Resampling.BICUBIC)
    stage.picture.paste(colours, (0, 0), mask)


def paint_lightning(stage: Stage, near: float) -> None:
    """Paint a bolt from the clouds to the horizon, away from the column `near` (pixels)."""
    rng = stage.stream("lightning")
    unit = stage.unit
    side = 0.12 + 0.22 * float(rng.random())
    x = stage.width * (side if near > stage.width / 2 else 1.0 - side)
    y, foot = stage.horizon * 0.16, stage.horizon * 0.99
    steps = 11
    path = [(x, y)]
    for k, (a, _) in enumerate(rng.random((steps, 2)).tolist()):
        x += unit * (a - 0.5) * 0.1
        path.append((x, y + (foot - y) * (k + 1) / steps))
    glow(stage.picture, (path[3][0], path[3][1]), unit * 0.6, (170, 180, 240), 0.75)
    glow(stage.picture, (x, foot), unit * 0.25, (200, 206, 255), 0.55)
    bolts = [stroke(np.array(path), unit * 0.012, unit * 0.004)]
    for k in (3, 6):
        start = path[k]
        turn = 1.0 if rng.random() < 0.5 else -1.0
        twig, point = [start], start
        for a, b in rng.random((4, 2)).tolist():
            point = (point[0] + turn * unit * (0.012 + 0.04 * a), point[1] + unit * (0.015 + 0.035 * b))
            twig.append(point)
        bolts.append(stroke(np.array(twig), unit * 0.006, unit * 0.0012))
    fill(stage.picture, [stroke(np.array(path), unit * 0.03, unit * 0.012)], (190, 198, 255), 0.35)
    fill(stage.picture, bolts, (252, 250, 255))


# What falls ---------------------------------------------------------------------------------------------


def paint_rain(stage: Stage) -> None:
    """Paint slanting rain over everything."""
    rng = stage.stream("rain")
    unit = stage.unit
    storm = "storm" in stage.scene.weather
    slant = (0.34 if storm else 0.16) * (1.0 if rng.random() < 0.5 else -1.0)
    area = stage.width * stage.height / (unit * unit)
    numbers = rng.random((int((130 if storm else 110) * area), 3))
    # Made at half the size: rain has soft edges.
    c = numbers[:, 2]
    length = unit * (0.015 + 0.03 * c)
    x, y = (numbers[:, 0] * 0.65 - 0.075) * stage.width, (numbers[:, 1] * 0.55 - 0.05) * stage.height
    half = unit * (0.0003 + 0.0003 * c) + 0.08
    foot = x - slant * length
    corners = ((x - half, y), (x + half, y), (foot + half, y + length), (foot - half, y + length))
    streaks = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
    mask = coverage([streaks], (0, 0, (stage.width + 1) // 2, (stage.height + 1) // 2))
    soft = (
        Image.fromarray(mask)
        .resize(stage.picture.size, Image.Resampling.BILINEAR)
        .point([int(v * 0.46) for v in range(256)])
    )
    tone = mix(stage.mood.sky[3], (236, 242, 250), 0.6)
    wash(stage.picture, tone, (0, 0, *soft.size), soft)


def paint_snowfall(stage: Stage, *, heavy: bool) -> None:
    """Paint flakes: small ones far away, a few big soft ones near."""
    rng = stage.stream("snowfall")
    unit = stage.unit
    area = stage.width * stage.height / (unit * unit)
    numbers = rng.random((int((150 if heavy else 60) * area), 3))
    pixels = np.asarray(stage.picture).copy()
    for a, b, c in numbers.tolist():
        radius = unit * (0.0016 + 0.0052 * c * c * c * c) + 0.2
        _dot(pixels, a * stage.width, b * stage.height, radius, 0.85 - 0.35 * c)
    stage.picture.paste(Image.fromarray(pixels))


def paint_fog(stage: Stage, top: float, bottom: float, strength: float, name: str) -> None:
    """Lay a bank of fog between two heights, thickest in the middle."""
    rng = stage.stream(f"fog {name}")
    upper, lower = max(0, int(top)), min(stage.height, int(bottom))
    if lower - upper < 8:
        return
    rows, columns = soft_size(stage, lower - upper)
    y = ((np.arange(rows) + 0.5) / rows)[:, None]
    noise = cloud_noise(rng, (rows, columns), (2.0, 1.6 * stage.wide), 3, 0.5)
    bank = np.clip(1.0 - np.abs(y * 2 - 1), 0, 1)
    _lay_soft(stage, bank * (0.35 + 1.1 * noise) * strength, (0, upper, stage.width, lower), stage.mood.haze)


def paint_shafts(stage: Stage, bottom: float) -> None:
    """Let the sun's light fall in shafts, as between trees."""
    rng = stage.stream("shafts")
    rows, columns = soft_size(stage, bottom)
    x = (np.arange(columns) + 0.5) * (stage.width / columns) - stage.sun[0]
    y = ((np.arange(rows) + 0.5) * (bottom / rows) - stage.sun[1] + stage.unit * 0.5)[:, None]
    fan = x / np.maximum(y, stage.unit * 0.05) * 5.0 + 20.0
    index = np.clip(fan, 0, 39).astype(np.int64)
    part = np.clip(fan, 0, 39) - index
    part = part * part * (3 - 2 * part)
    knots = rng.random(41)
    rays = knots[index] * (1 - part) + knots[index + 1] * part
    fade = np.clip(1.2 - y / (stage.unit * 1.4), 0, 1)
    _lay_soft(
        stage,
        np.clip(rays * 1.6 - 0.7, 0, 1) * fade * 0.34,
        (0, 0, stage.width, max(8, int(bottom))),
        mix(stage.mood.halo, (255, 255, 255), 0.2),
    )
