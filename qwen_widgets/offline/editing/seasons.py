"""What a season and a weather leave on the ground and in the air: snow, coloured leaves, petals, rain, flakes, fog."""

from __future__ import annotations

import numpy as np
from PIL import Image

from qwen_widgets.offline.editing.raster import (
    Field,
    blurred,
    field,
    luma_of,
    picture_of,
    pixels_of,
    resized,
    tone,
)
from qwen_widgets.offline.editing.regions import View
from qwen_widgets.offline.painting import sky, woods
from qwen_widgets.offline.painting.brush import cloud_noise, stream
from qwen_widgets.offline.painting.land import leaves
from qwen_widgets.offline.painting.stage import Stage


def leafy(pixels: Field) -> Field:
    """Tell how much each pixel is green, 0 to 1: grass, leaves, needles."""
    green = pixels[..., 1] - np.maximum(pixels[..., 0] - 6, pixels[..., 2])
    return np.clip(green / (10.0 + 0.08 * luma_of(pixels)), 0, 1).astype(np.float32)


def _earthy(pixels: Field) -> Field:
    """Tell how much each pixel is brown, ochre or grey, as earth, straw and rock are, 0 to 1."""
    most, least = pixels.max(axis=2), pixels.min(axis=2)
    colour = (most - least) / np.maximum(most, 1.0)
    warm = (pixels[..., 0] >= pixels[..., 2] - 8).astype(np.float32)
    return field(np.clip(1.3 - colour * 1.9, 0, 1) * (0.35 + 0.65 * warm))


def _noise(view: View, seed: int, name: str, periods: float) -> Field:
    wide, high = view.size
    rows, columns = max(8, high // 6), max(8, wide // 6)
    noise = cloud_noise(stream(seed, name), (rows, columns), (periods * high / wide, periods), 4)
    return resized(field(noise), view.size)


def dress(view: View, season: str, seed: int) -> View:
    """Change what grows and lies on the ground with the season; the light comes later."""
    if season == "winter":
        return _snowed(view, seed)
    if season in {"autumn", "spring", "summer"}:
        return _leaves(view, season, seed)
    return view


def _with(view: View, pixels: Field) -> View:
    return view.with_pixels(np.clip(pixels, 0, 255).astype(np.float32))


def _snowed(view: View, seed: int) -> View:
    pixels = view.pixels
    bright = luma_of(pixels)
    land = (1.0 - view.sky) * (1.0 - view.water * 0.75)
    if view.has_sky:
        rows = np.arange(len(pixels), dtype=np.float32)[:, None]
        # A light hand on what rises above the horizon.
        land = land * np.clip(0.7 + (rows - view.horizon) / (0.1 * len(pixels)), 0.6, 1.0)
    else:
        # A room stays dry, and its window shows a little of it.
        land = land * 0.3 * leafy(pixels)
    green, earth = leafy(pixels), _earthy(pixels)
    mean = blurred(bright, max(2.0, len(pixels) / 60))
    # Dark needles keep their shade and carry snow on what faces up.
    upper = np.empty_like(bright)
    upper[2:], upper[:2] = bright[2:] - bright[:-2], 0
    caps = np.clip(-upper / 24.0, 0, 1) * np.clip(1.2 - mean / 130.0, 0, 1)
    dark = np.clip(1.0 - mean / 78.0, 0, 1)
    cover = np.clip(green * (1.0 - 0.72 * dark) + earth * (1.0 - dark) * 0.85, 0, 1)
    patches = np.clip((_noise(view, seed, "snow", 9.0) - 0.2) * 3.0, 0.92, 1)
    cover = np.clip(np.maximum(cover * patches, caps * 0.9), 0, 1) * land
    # What is white stays as it is.
    cover = cover * np.clip((236.0 - bright) / 40.0, 0, 1)
    detail = np.clip((bright - mean) / 90.0, -0.5, 0.5)
    level = np.clip(0.86 + detail, 0.5, 1.05) * np.clip(0.78 + mean / 500.0, 0.7, 1.05)
    snow = level[..., None] * tone((250, 252, 255)) + (1.05 - level)[..., None] * tone((120, 150, 215)) * 0.5
    share = (blurred(cover.astype(np.float32), 1) * 0.94)[..., None]
    return _with(view, pixels * (1 - share) + snow * share)


_AUTUMN = ((206, 92, 30), (226, 150, 40), (178, 52, 34), (196, 128, 46))
_SPRING = ((130, 190, 84), (246, 182, 204), (150, 204, 96), (250, 206, 220))
_SUMMER = ((86, 160, 60), (70, 146, 56), (104, 172, 66), (60, 132, 60))


def _leaves(view: View, season: str, seed: int) -> View:
    pixels = view.pixels
    hues = {"autumn": _AUTUMN, "spring": _SPRING, "summer": _SUMMER}[season]
    bright = luma_of(pixels)
    choice = np.clip(_noise(view, seed, "leaves", 14.0) * 2.2 - 0.6, 0, 0.999) * (len(hues) - 1)
    at = choice.astype(np.int64)
    part = (choice - at)[..., None].astype(np.float32)
    palette = np.array(hues, dtype=np.float32)
    wanted = palette[at] * (1 - part) + palette[np.minimum(at + 1, len(hues) - 1)] * part
    # As bright as it was, a little brighter in the dark, where needles were.
    level = (bright * 1.06 + 14.0) / np.maximum(luma_of(wanted), 1.0)
    rows = np.arange(len(pixels), dtype=np.float32)[:, None]
    # Meadows turn straw, trees turn red; petals lie on trees more than on the grass.
    meadow = np.clip((bright - 84.0) / 60.0, 0, 1) * np.clip(
        (rows - view.horizon) / (0.2 * len(pixels)), 0, 1
    )
    straw = tone((204, 158, 72) if season == "autumn" else (116, 182, 76))
    flat = straw * (bright * 1.02 / 158.0)[..., None]
    mixed = wanted * level[..., None] * (1 - meadow[..., None] * 0.86) + flat * meadow[..., None] * 0.86
    share = leafy(pixels) * (1.0 - view.sky) * (1 - view.water * 0.8)
    share = share * (0.92 if season != "summer" else 0.6)
    if season == "autumn":
        snowy = _lying_snow(view, bright)
        mixed += (straw * 0.98 - mixed) * snowy[..., None]
        share = np.maximum(share, snowy * 0.55)
    elif season in {"spring", "summer"}:
        # The thaw: what is white on the ground turns green.
        snowy = _lying_snow(view, bright)
        grass = tone((112, 172, 76)) * (0.55 + bright / 480.0)[..., None]
        mixed += (grass - mixed) * snowy[..., None]
        share = np.maximum(share, snowy * 0.9)
    share = blurred(share.astype(np.float32), 1)[..., None]
    return _with(view, pixels * (1 - share) + mixed * share)


def _lying_snow(view: View, bright: Field) -> Field:
    """Tell where snow lies: white over wide parts of the ground; a sail or a shirt is not."""
    pixels = view.pixels
    rows = np.arange(len(pixels), dtype=np.float32)[:, None]
    pale = np.clip(1.3 - (pixels.max(axis=2) - pixels.min(axis=2)) / 60.0, 0, 1)
    white = np.clip((bright - 175.0) / 35.0, 0, 1) * pale * (1 - view.sky) * (1 - view.water)
    white = white * np.clip((rows - view.horizon) / (0.03 * len(pixels)), 0, 1)
    if white[::4, ::4].mean() < 0.12:
        return np.zeros_like(bright)
    wide = blurred(white.astype(np.float32), max(4.0, len(pixels) / 14))
    return field(white * np.clip((wide - 0.3) * 4.0, 0, 1))


def fall(stage: Stage) -> Image.Image:
    """Paint what is between the picture and its viewer: rain, flakes, leaves or petals in the wind, banks of fog."""
    scene = stage.scene
    if "fog" in scene.weather:
        unit = stage.unit
        sky.paint_fog(stage, stage.horizon - unit * 0.22, stage.horizon + unit * 0.16, 0.7, "far")
        sky.paint_fog(stage, stage.horizon + unit * 0.05, stage.horizon + unit * 0.34, 0.4, "near")
    if scene.weather & {"rain", "storm"}:
        sky.paint_rain(stage)
        stage.picture = _wet(stage.picture, stage)
    elif "snowfall" in scene.weather or (scene.season == "winter" and "clear" not in scene.weather):
        sky.paint_snowfall(stage, heavy="snowfall" in scene.weather)
    if scene.season in {"autumn", "spring"} and leaves(stage):
        woods.paint_drift(stage)
    return stage.picture


def _wet(picture: Image.Image, stage: Stage) -> Image.Image:
    """Let wet ground mirror a little of what stands above it."""
    line = int(stage.horizon)
    deep = picture.height - line
    if deep < picture.height // 8 or line < deep // 2:
        return picture
    pixels = pixels_of(picture)
    above = pixels[max(0, line - deep) : line][::-1]
    soft = np.stack([blurred(above[..., c], max(2.0, picture.height / 90)) for c in range(3)], axis=2)
    share = np.linspace(0.2, 0.06, len(soft), dtype=np.float32)[:, None, None]
    part = pixels[line : line + len(soft)]
    part += (soft - part) * share
    return picture_of(pixels)
