"""Colours and tones: something gets another colour, a picture gets warmer, darker, sharper, or the tones of another one."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from qwen_widgets.offline.editing.instructions import Recolour
from qwen_widgets.offline.editing.raster import (
    RGB,
    Field,
    Flags,
    blurred,
    field,
    luma_of,
    picture_of,
    pixels_of,
    tone,
)
from qwen_widgets.offline.editing.regions import View, hue_share, main_thing
from qwen_widgets.offline.editing.seasons import leafy
from qwen_widgets.offline.painting.brush import luma
from qwen_widgets.offline.painting.figures import FIGURES

#: Things that are looked for in the sky, too.
FLYING = frozenset({kind for kind, figure in FIGURES.items() if figure.stance == "sky"})


def colours_of(kind: str) -> tuple[RGB, ...]:
    """Give the colours that a subject usually has."""
    figure = FIGURES.get(kind)
    return () if figure is None else (figure.body, figure.accent)


def find(view: View, kind: str, source: RGB | None = None) -> tuple[Field, Flags]:
    """Find the thing that a word names, as well as colours tell."""
    return main_thing(view, colours_of(kind), source, in_sky=kind in FLYING)


def recolour(view: View, change: Recolour) -> Image.Image:
    """Give something in the picture another colour; its light and shade stay."""
    pixels, colour = view.pixels, change.colour
    if change.target == "sky":
        return _tinted(pixels, view.sky * 0.62, colour)
    if change.target == "water":
        return _tinted(pixels, view.water * 0.8, colour)
    if change.target == "leaves":
        return _tinted(pixels, leafy(pixels) * (1 - view.sky) * 0.92, colour)
    if change.target == "ground":
        return _tinted(pixels, (1 - view.sky) * (1 - view.water) * 0.7, colour)
    if change.target == "light":
        return _tinted(pixels, np.full(pixels.shape[:2], 0.35, np.float32), colour)
    mask, region = find(view, change.target, change.source)
    if not region.any():
        return picture_of(pixels)
    own = _own_hue(view.small[region])
    if own is None:
        # It has no hue: all of it takes the colour.
        return _tinted(pixels, mask * 0.9, colour)
    near = np.clip(blurred(mask, max(1.0, len(mask) / 160)) * 1.6, 0, 1)
    share = hue_share(pixels, own) * np.maximum(near, reflected(near, view) * 0.5)
    return _tinted(pixels, np.clip(share * 1.25, 0, 1).astype(np.float32), colour)


def _own_hue(colours: Field) -> RGB | None:
    """Give the colour of a thing: the mean of its most vivid half."""
    strength = colours.max(axis=1) - colours.min(axis=1)
    vivid = colours[strength >= np.median(strength)]
    mean = vivid.mean(axis=0)
    if float(mean.max() - mean.min()) < 24:
        return None
    return float(mean[0]), float(mean[1]), float(mean[2])


def reflected(mask: Field, view: View) -> Field:
    """Give the place below a thing where water mirrors it."""
    below = np.zeros_like(mask)
    rows = np.nonzero(mask.max(axis=1) > 0.5)[0]
    if view.has_water and len(rows) and rows[-1] > view.horizon:
        foot, high = int(rows[-1]) + 1, int(np.ptp(rows)) + 1
        part = mask[max(0, foot - high) : foot][::-1][: len(mask) - foot]
        below[foot : foot + len(part)] = part
        below = blurred(below, max(1.0, len(mask) / 60)) * (view.water > 0.05)
    return field(np.clip(below * 1.5, 0, 1))


def _tinted(pixels: Field, share: Field, colour: RGB) -> Image.Image:
    bright = luma_of(pixels)
    weight = float(share[::2, ::2].sum())
    mean = float((bright[::2, ::2] * share[::2, ::2]).sum()) / max(weight, 1e-3)
    # Halfway between how bright it was and how bright the colour is: a black boat is dark, a yellow one light.
    goal = max(12.0, 0.4 * mean + 0.6 * luma(colour) * min(1.0, (float(bright[::4, ::4].mean()) + 60) / 170))
    level = (bright / max(mean, 6.0)) ** 0.85 * (goal / max(luma(colour), 8.0))
    wanted = np.clip(level[..., None] * tone(colour), 0, None)
    # What is brighter than the colour can be goes to white.
    over = np.clip(wanted.max(axis=2) - 255.0, 0, 255)[..., None]
    wanted = np.minimum(wanted + over * 0.6, 255.0)
    cover = share[..., None]
    return picture_of(pixels * (1 - cover) + wanted * cover)


def grade(picture: Image.Image, tones: frozenset[str]) -> Image.Image:
    """Change the tone of a whole picture."""
    if "mirror" in tones:
        picture = ImageOps.mirror(picture)
    if "close" in tones:
        wide, high = picture.size
        cut = (int(wide * 0.17), int(high * 0.2), int(wide * 0.83), int(high * 0.86))
        picture = picture.crop(cut).resize((wide, high), Image.Resampling.LANCZOS)
    pixels = pixels_of(picture)
    if "warm" in tones:
        pixels = pixels * tone((1.1, 1.0, 0.82)) + tone((6, 2, 0))
    if "cold" in tones:
        pixels = pixels * tone((0.84, 0.98, 1.14)) + tone((0, 2, 8))
    if "bright" in tones:
        pixels = 255.0 * (np.clip(pixels, 0, 255) / 255.0) ** 0.68
    if "dark" in tones:
        pixels = 255.0 * (np.clip(pixels, 0, 255) / 255.0) ** 1.5 * 0.9
    if "contrast" in tones:
        level = np.clip(pixels, 0, 255) / 255.0
        pixels = 255.0 * (level + (level * level * (3 - 2 * level) - level) * 0.9)
    if tones & {"vivid", "muted"}:
        bright = luma_of(pixels)[..., None]
        factor = 1.5 if "vivid" in tones else 0.5
        pixels = field(bright + (pixels - bright) * factor + (10.0 if "muted" in tones else 0.0))
    picture = picture_of(pixels)
    unit = min(picture.size)
    if "sharp" in tones:
        picture = picture.filter(ImageFilter.UnsharpMask(unit / 250, 130, 2))
    if "soft" in tones:
        soft = picture.filter(ImageFilter.GaussianBlur(unit / 110))
        picture = Image.blend(picture, soft, 0.8)
    return picture


def toned_like(picture: Image.Image, other: Image.Image, share: float = 0.85) -> Image.Image:
    """Give a picture the tones of another one: mean and spread of each channel of an opponent colour space.

    After Reinhard and others, Color Transfer between Images, https://doi.org/10.1109/38.946629.
    """
    mine, theirs = _opponent(pixels_of(picture)), _opponent(pixels_of(other.resize((128, 128))))
    for channel in range(3):
        one, two = mine[..., channel], theirs[..., channel]
        factor = float(two.std()) / max(float(one.std()), 2.0)
        # Light and shade are kept mostly; it is the colours that are asked for.
        strength = share * (0.6 if channel == 0 else 1.0)
        wanted = (one - one.mean()) * np.float32(np.clip(factor, 0.4, 2.2)) + two.mean()
        mine[..., channel] = one + (wanted - one) * np.float32(strength)
    red = mine[..., 0] + mine[..., 1] * 0.7
    blue = mine[..., 0] - mine[..., 1] * 0.3 - mine[..., 2]
    green = (mine[..., 0] - 0.3 * red - 0.11 * blue) / 0.59
    return picture_of(np.stack((red, green, blue), axis=2))


def _opponent(pixels: Field) -> Field:
    bright = luma_of(pixels)
    warm = (pixels[..., 0] - bright) / 0.7
    return np.stack((bright, warm, bright - warm * np.float32(0.3) - pixels[..., 2]), axis=2)
