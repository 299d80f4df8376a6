"""Gives a picture the light of another hour, season or weather: a new sky, and everything below it in its light."""

from __future__ import annotations

import numpy as np
from PIL import Image

from qwen_widgets.offline.editing.raster import (
    RGB,
    Field,
    blurred,
    field,
    luma_of,
    mask_of,
    picture_of,
    pixels_of,
    tone,
)
from qwen_widgets.offline.editing.regions import View, mirrored_rows, sky_rows
from qwen_widgets.offline.painting import outdoors
from qwen_widgets.offline.painting.brush import luma, stream
from qwen_widgets.offline.painting.light import mood_of, shift
from qwen_widgets.offline.painting.scene import Scene
from qwen_widgets.offline.painting.stage import Stage

#: How bright the ground is in each hour, 0 to 255, as a mean.
_BRIGHT = {
    "dawn": 112.0,
    "morning": 142.0,
    "day": 150.0,
    "golden": 136.0,
    "sunset": 96.0,
    "dusk": 80.0,
    "blue": 68.0,
    "night": 55.0,
}


def stage_for(view: View, picture: Image.Image, scene: Scene, seed: int) -> Stage:
    """Set a picture on the painter's stage: its horizon and its sun are where the picture has them."""
    mood = shift(mood_of(scene), stream(seed, "light"))
    stage = Stage(picture, scene, seed, mood, unit=min(picture.height, picture.width * 1.15))
    outdoors.compose(stage)
    free = view.horizon if view.has_sky else picture.height * 0.45
    rise = free - stage.sun[1] * free / max(1.0, stage.horizon)
    stage.horizon = free
    stage.sun = (stage.sun[0], max(stage.unit * 0.06, free - rise))
    if view.sun is not None:
        # The sun or the moon stays where one was; a moon and a high sun stand higher than a low one.
        high = min(view.sun[1], free * 0.42) if mood.height > 0.4 else view.sun[1]
        stage.sun = (view.sun[0], max(stage.unit * 0.06, high))
    return stage


def relight(view: View, scene: Scene, seed: int) -> Image.Image:
    """Give a picture the light and the sky of a scene."""
    stage = stage_for(view, Image.new("RGB", view.size), scene, seed)
    before = mood_of(Scene(scene.places, view.hour))
    ground = _ground(view, stage, before.light)
    if not view.has_sky:
        return picture_of(ground)
    outdoors.paint_heavens(stage)
    painted = pixels_of(stage.picture)
    if view.has_water:
        ground = _reflecting(view, ground, painted, stage)
    ground = _airy(view, ground, stage)
    cover = view.sky[..., None]
    return picture_of(painted * cover + ground * (1 - cover))


def _ground(view: View, stage: Stage, light_before: RGB) -> Field:
    """Show everything below the sky in the new light."""
    mood, hour = stage.mood, stage.scene.time
    pixels = view.pixels
    below = 1.0 - view.sky
    weight = float(below[::3, ::3].sum()) + 1e-3
    mean = (pixels[::3, ::3] * below[::3, ::3, None]).sum(axis=(0, 1)) / weight
    # Half of the old light's colour is taken off, by what the hour says and by what the pixels say.
    grey = float(luma_of(mean))
    cast = np.clip(mean / max(grey, 1.0), 0.55, 1.6)
    old = np.asarray(light_before, dtype=np.float32) / np.float32(max(luma(light_before), 1.0))
    new = tone(mood.light) / np.float32(max(luma(mood.light), 1.0))
    tint = new / np.sqrt(old * np.sqrt(cast))
    covered = bool(stage.scene.weather & {"rain", "storm", "snowfall", "fog"})
    wanted = _BRIGHT[hour] * (0.82 if covered and hour not in {"night", "blue", "dusk"} else 1.0)
    if hour == view.hour:
        factor = 0.86 if covered else 1.0
        tint = np.sqrt(tint) if view.has_sky else np.ones(3, np.float32)
    else:
        # A dark boat stays a dark one: two thirds of the way from what it is to what the hour usually is.
        factor = float(np.clip((wanted / max(grey, 8.0)) ** 0.8, 0.22, 2.6))
        if _BRIGHT[view.hour] > _BRIGHT[hour]:
            # And what is dark by day is darker still.
            factor = min(factor, max(0.45, _BRIGHT[hour] / _BRIGHT[view.hour] + 0.15))
    result: Field = pixels * (tint * factor).astype(np.float32)
    if factor > 1.15:
        # The shadows open and the lights are held, or a night that turns to day would burn out.
        result = 255.0 * (1.0 - np.exp(-result / 190.0)) * 1.18
    bright = luma_of(result)[..., None]
    if hour in {"night", "blue", "dusk"}:
        # Little light, little colour; and what is white by day is the first to be seen.
        calm = 0.24 if hour == "night" else 0.15
        result += (bright - result) * np.float32(calm)
        lift = np.clip(bright / 255.0, 0, 1) ** 2 * 46.0
        result += lift * tone(mood.halo) / 255.0
        result += tone(mood.sky[2]) * np.float32(0.1)
    if hour in {"golden", "sunset", "dawn"}:
        lights = np.clip((bright - 90.0) / 120.0, 0, 1) * np.float32(0.3)
        result += (tone(mood.halo) * (bright / 230.0) - result) * lights
        result += (tone(mood.shadow) - result) * np.clip((60.0 - bright) / 300.0, 0, 0.2)
    return np.clip(result, 0, 255)


def _reflecting(view: View, ground: Field, painted: Field, stage: Stage) -> Field:
    """Let water show the new sky where it showed the old one, with the waves that it has."""
    some = view.sky[:, ::5]
    old = mirrored_rows(sky_rows(view.pixels[:, ::5], some), view.horizon)[:, None, :]
    new = mirrored_rows(sky_rows(painted[:, ::5], some), view.horizon)[:, None, :]
    share = (view.water * 0.72)[..., None]
    waves = (luma_of(view.pixels) - luma_of(old)[:, 0][:, None])[..., None]
    strength = 0.28 if stage.mood.dark else 0.5
    shown = new * np.float32(0.78) + waves * np.float32(strength)
    return field(ground * (1 - share) + np.clip(shown, 0, 255) * share)


def _airy(view: View, ground: Field, stage: Stage) -> Field:
    """Let the air of the hour lie before what is far: most at the horizon."""
    rows = np.arange(len(ground), dtype=np.float32)
    high = len(ground)
    near = np.clip(1.0 - np.abs(rows - view.horizon) / (0.16 * high), 0, 1) ** 2
    fog = "fog" in stage.scene.weather
    if fog:
        lower = np.clip(1.0 - (rows - view.horizon) / (0.62 * high), 0, 1)
        near = np.clip(np.where(rows < view.horizon, 1.0, lower) ** 1.5, 0, 1)
    strength = 0.84 if fog else 0.24
    share = (near * np.float32(strength))[:, None, None]
    return field(ground * (1 - share) + tone(stage.mood.haze) * share)


def glitter(view: View, picture: Image.Image, stage: Stage) -> Image.Image:
    """Lay the light of the moon or of a low sun on the water below it."""
    if not view.has_water or stage.scene.weather & {"rain", "storm", "fog"}:
        return picture
    if not (stage.mood.moon or stage.mood.height < 0.3):
        return picture
    wide, high = view.size
    rows = np.arange(high, dtype=np.float32)
    depth = np.clip((rows - view.horizon) / max(1.0, high - view.horizon), 0, 1)
    reach = (0.012 + 0.07 * depth) * wide
    away = np.abs(np.arange(wide, dtype=np.float32) - np.float32(stage.sun[0]))[None, :] / reach[:, None]
    knots = stage.stream("glitter").random((high // 3 + 2, wide // 24 + 2)).astype(np.float32)
    broken = np.asarray(Image.fromarray(knots).resize((wide, high), Image.Resampling.BICUBIC))
    strength = np.clip(1.0 - away, 0, 1) * np.clip(broken * 3.2 - 1.7, 0, 1) * (depth > 0)[:, None]
    strength = strength * view.water * (0.62 if stage.mood.moon else 0.5)
    light = Image.new("RGB", view.size, tuple(int(c) for c in stage.mood.sun))
    return Image.composite(light, picture, mask_of(blurred(strength.astype(np.float32), 1)))
