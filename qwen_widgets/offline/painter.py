"""Paints a picture from a prompt, a size and a seed: offline, and the same on every machine."""

from __future__ import annotations

import hashlib

from PIL import Image

from qwen_widgets.offline.painting import beyond, indoors, outdoors, sky, street, styles, woods
from qwen_widgets.offline.painting.band import add_band
from qwen_widgets.offline.painting.brush import Points, fill, glow, line, mix, oval, poly, stream
from qwen_widgets.offline.painting.light import mood_of, shift
from qwen_widgets.offline.painting.outdoors import Spots
from qwen_widgets.offline.painting.scene import Scene, Subject, read_scene
from qwen_widgets.offline.painting.stage import Stage
from qwen_widgets.offline.painting.subjects import draw_all

#: Below this many pixels a side, a picture is painted larger and made smaller.
_SMALLEST = 32
#: Above this many pixels in all, a picture is painted smaller and made larger: 4 megapixels take half the time.
_MOST_PIXELS = 1536 * 1536

__all__ = ["Scene", "Subject", "paint", "paint_scene", "read_scene"]


def paint(prompt: str, size: tuple[int, int], seed: int) -> Image.Image:
    """Paint a picture.

    Another seed moves the composition and keeps the scene; another word changes what it names and keeps the
    rest, because every element takes its numbers from a random stream of its own.

    Parameters
    ----------
    prompt : str
        Any text. What it names is drawn as far as the painter knows it, in English or Chinese; every word that
        it doesn't know leaves a small mark. Nothing is ever refused.
    size : tuple of int
        Width and height in pixels; what is over 1536 × 1536 pixels in all is painted smaller and made larger.
    seed : int
        Any whole number.

    Returns
    -------
    PIL.Image.Image
        An RGB picture with a slim band at the bottom that says that it is an offline preview.
    """
    return paint_scene(read_scene(prompt), size, seed)


def paint_scene(
    scene: Scene, size: tuple[int, int], seed: int, *, air: int | None = None, band: bool = True
) -> Image.Image:
    """Paint a scene.

    Parameters
    ----------
    scene : Scene
    size : tuple of int
        Width and height in pixels.
    seed : int
        Any whole number.
    air : int, optional
        The seed of the light and of what falls from the sky, where it is another one.
    band : bool
        Whether the picture has its band.
    """
    air = seed if air is None else air
    scale = min(1.0, (_MOST_PIXELS / max(1, size[0] * size[1])) ** 0.5)
    width, height = max(_SMALLEST, round(size[0] * scale)), max(_SMALLEST, round(size[1] * scale))
    stage = Stage(
        Image.new("RGB", (width, height)),
        scene,
        seed,
        shift(mood_of(scene), stream(air, "light")),
        unit=min(height, width * 1.15),
    )
    outdoors.compose(stage)
    spots = _paint_place(stage)
    draw_all(stage, spots)
    stage.seed = air
    _paint_air(stage, spots)
    stage.seed = seed
    mark_strange(stage, spots, scene.strange)
    picture = styles.apply_styles(stage.picture, scene.styles, seed, stage.unit)
    if scale < 1.0:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    if band:
        add_band(picture, scene.residue)
    return picture if picture.size == size else picture.resize((max(1, size[0]), max(1, size[1])))


def _paint_place(stage: Stage) -> Spots:
    match stage.scene.setting:
        case "room":
            return indoors.paint_room(stage)
        case "moonland":
            return beyond.paint_moonland(stage)
        case "space":
            return beyond.paint_space(stage)
        case "deep":
            return beyond.paint_deep(stage)
        case "street":
            return street.paint_street(stage)
        case _:
            return outdoors.paint_outdoors(stage)


def _paint_air(stage: Stage, spots: Spots) -> None:
    """Paint what is between the picture and its viewer: rain, flakes, leaves in the wind, a frame of trunks."""
    scene = stage.scene
    if spots.surface in {"table", "sill", "void", "moon", "seabed"}:
        return
    if "forest" in scene.places:
        woods.paint_frame(stage)
    if scene.weather & {"rain", "storm"}:
        sky.paint_rain(stage)
    if "snowfall" in scene.weather or (scene.season == "winter" and not scene.weather & {"clear", "rain"}):
        sky.paint_snowfall(stage, heavy="snowfall" in scene.weather)
    if scene.season in {"autumn", "spring"} and spots.surface != "sand":
        woods.paint_drift(stage)


def mark_strange(stage: Stage, spots: Spots, strange: tuple[str, ...]) -> None:
    """Leave a small mark for each word that isn't understood: a far bird by day, a spark of light in the dark."""
    unit = stage.unit
    top, bottom = spots.sky
    for word in strange:
        # The word itself goes into a digest, so that odd characters can't matter.
        name = hashlib.sha256(word.encode("utf-8", "replace")).hexdigest()
        a, b, c, d = stream(stage.seed, f"word {name}").random(4).tolist()
        e = float(stream(0, f"word {name}").random())
        x, y = stage.width * (0.06 + 0.88 * a), top + (bottom - top) * (0.05 + 0.85 * b)
        size = unit * (0.009 + 0.009 * c)
        if spots.surface in {"void", "moon", "seabed"} or stage.mood.dark:
            tone = mix((255, 232, 180), (170, 214, 255), e)
            glow(stage.picture, (x, y), size * 2.6, tone, 0.5)
            fill(stage.picture, [_spark(x, y, size * (0.5 + 0.5 * d))], tone)
        elif spots.surface in {"table", "sill"}:
            tone = mix((255, 246, 220), (255, 214, 160), e)
            fill(stage.picture, [oval(x, y, size * 0.35)], tone, 0.6)
        else:
            tilt = (d - 0.5) * 0.5
            wing = size * (0.9 + 0.5 * e)
            bird = [
                line(
                    (x, y),
                    (x - wing * 0.5, y - wing * (0.42 + tilt)),
                    (x - wing, y - wing * 0.1),
                    wide=size * 0.2,
                    end=size * 0.06,
                ),
                line(
                    (x, y),
                    (x + wing * 0.5, y - wing * (0.42 - tilt)),
                    (x + wing, y - wing * 0.1),
                    wide=size * 0.2,
                    end=size * 0.06,
                ),
            ]
            fill(stage.picture, bird, mix(stage.mood.shadow, stage.mood.sky[2], 0.2), 0.85)


def _spark(x: float, y: float, size: float) -> Points:
    s = size * 0.16
    return poly(
        (x, y - size),
        (x + s, y - s),
        (x + size, y),
        (x + s, y + s),
        (x, y + size),
        (x - s, y + s),
        (x - size, y),
        (x - s, y - s),
    )
