"""Puts things into a picture and takes them out: painted subjects, parts of other pictures, backgrounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from qwen_widgets.offline.editing.raster import (
    RGB,
    Field,
    blurred,
    field,
    luma_of,
    mask_of,
    picture_of,
    pixels_of,
    resized,
)
from qwen_widgets.offline.editing.regions import View, look_at, main_thing
from qwen_widgets.offline.editing.relight import stage_for
from qwen_widgets.offline.editing.tones import find, reflected
from qwen_widgets.offline.painting.brush import solid, stream
from qwen_widgets.offline.painting.outdoors import Spots, paint_bank
from qwen_widgets.offline.painting.scene import Scene, Subject
from qwen_widgets.offline.painting.subjects import draw_subject, place


def add(
    view: View,
    picture: Image.Image,
    scene: Scene,
    subjects: tuple[Subject, ...],
    seed: int,
    instead: Field | None,
) -> Image.Image:
    """Paint subjects into a picture, in its light; where one takes the place of another, there."""
    stage = stage_for(
        view, picture, Scene(scene.places, scene.time, scene.season, scene.weather, subjects), seed
    )
    high = picture.height
    line = view.horizon if view.has_sky else high * 0.55
    ground = (max(line + 0.12 * (high - line), 0.5 * high), 0.93 * high)
    spots = Spots(
        ground=ground,
        water=(line, 0.94 * high) if view.has_water else None,
        sky=(0.0, max(line, 0.3 * high)),
        surface="floor" if not view.has_sky else "snow" if scene.season == "winter" else "grass",
    )
    busy = _busy(view)
    placed = place(stage, spots)
    standing = any(spot.stance == "ground" and spot.figure.stance != "water" for spot in placed)
    if standing and instead is None and view.water[int(0.82 * high) :].mean() > 0.4:
        # Nobody stands on water: the near bank comes into view.
        spots = replace(spots, surface=paint_bank(stage, 0.87 * high), ground=(0.9 * high, 0.96 * high))
        placed = place(stage, spots)
    for number, spot in enumerate(placed):
        if instead is not None and number == 0:
            rows, columns = np.nonzero(instead > 0.5)
            if len(rows):
                spot.x = float(columns.mean())
                spot.y = float(rows.mean()) if spot.stance == "sky" else float(np.percentile(rows, 97))
                spot.scale *= float(np.clip(np.ptp(rows) / max(1.0, spot.scale), 0.7, 1.8))
        elif spot.subject.count == 1:
            spot.x = (
                _free_place(busy, spot.x / picture.width, spot.scale * 0.5 / picture.width) * picture.width
            )
        draw_subject(stage, spots, spot)
    return stage.picture


def _busy(view: View) -> Field:
    """Tell for each column how much stands there already, 0 to 1."""
    mask, _ = main_thing(view, (), None)
    columns: Field = blurred(np.repeat(mask.mean(axis=0)[None], 8, axis=0), 2)[0]
    return columns / max(float(columns.max()), 1e-6)


def _free_place(busy: Field, wanted: float, half: float) -> float:
    """Choose a place across that is free, near to the one that was wanted."""
    count = len(busy)
    best, at = 1e9, wanted
    for k in range(19):
        x = 0.14 + 0.72 * k / 18
        low, high = int(max(0, x - half) * count), int(min(1, x + half) * count) + 1
        value = float(busy[low:high].mean()) + 0.35 * abs(x - wanted)
        if value < best:
            best, at = value, x
    return at


def remove(picture: Image.Image, mask: Field) -> Image.Image:
    """Take something out of a picture: what lies beside it is copied over, and bent to fit at both edges.

    Landscapes are alike along a row, so each row is patched from its own neighbourhood: the patch is corrected by what
    it lacks at its left and right edge, and by a share of both in between.
    """
    wide, high = picture.size
    # A little wider than it was found, at a quarter of the size.
    coarse = mask_of(np.clip(mask * 1.6, 0, 1)).resize(
        (max(4, wide // 4), max(4, high // 4)), Image.Resampling.BOX
    )
    hole = resized(field(np.asarray(coarse.filter(ImageFilter.MaxFilter(5)))), (wide, high)) / 255.0
    hole = field(np.clip(hole * 1.4, 0, 1))
    columns, rows = np.nonzero(hole.max(axis=0) > 0.04)[0], np.nonzero(hole.max(axis=1) > 0.04)[0]
    if not len(columns) or not len(rows):
        return picture
    edge = max(2, wide // 120)
    left, right = max(0, int(columns[0]) - edge), min(wide, int(columns[-1]) + 1 + edge)
    top, foot = int(rows[0]), int(rows[-1]) + 1
    across = right - left
    pixels = pixels_of(picture).copy()
    room = {1: wide - right, -1: left}
    # From the side with more room; where neither has enough, the nearest part is mirrored.
    side = 1 if room[1] >= room[-1] else -1
    beside = np.arange(left, right) + side * across
    beside = np.where(beside >= wide, 2 * (wide - 1) - beside, np.abs(beside)).clip(0, wide - 1)
    patch = pixels[top:foot][:, beside]
    ends = [
        _end(pixels[top:foot], at, edge) - _end(patch, here, edge)
        for at, here in ((left, 0), (right - edge, across - edge))
    ]
    share = np.linspace(0, 1, across, dtype=np.float32)[None, :, None]
    patch = patch + ends[0][:, None] * (1 - share) + ends[1][:, None] * share
    cover = hole[top:foot, left:right, None]
    pixels[top:foot, left:right] = pixels[top:foot, left:right] * (1 - cover) + np.clip(patch, 0, 255) * cover
    return picture_of(pixels)


def _end(pixels: Field, at: int, edge: int) -> Field:
    """Give the colour at an edge for each row, smooth from row to row."""
    at = min(max(0, at), pixels.shape[1] - 1)
    column = pixels[:, at : at + edge].mean(axis=1)
    reach = max(1, len(pixels) // 40)
    padded = np.pad(column, ((reach, reach), (0, 0)), mode="edge")
    sums = np.cumsum(np.concatenate((np.zeros((1, 3), np.float32), padded)), axis=0)
    return field((sums[2 * reach + 1 :] - sums[: -2 * reach - 1]) / (2 * reach + 1))


def without_background(view: View, picture: Image.Image, backdrop: RGB | None) -> Image.Image:
    """Stand the main thing before a plain background, with a soft shadow."""
    mask, _ = main_thing(view, (), None, in_sky=True)
    mask = _cut(mask)
    colour = solid(backdrop or (248, 248, 246))
    high = picture.height
    plain = Image.new("RGB", picture.size, colour)
    shadow = np.clip(blurred(mask, high / 40), 0, 1)
    down = max(2, high // 60)
    shadow[down:] = shadow[:-down]
    dark = Image.new("RGB", picture.size, solid((colour[0] * 0.72, colour[1] * 0.72, colour[2] * 0.74)))
    plain = Image.composite(dark, plain, mask_of(shadow * 0.55))
    return Image.composite(picture, plain, mask_of(mask))


def blurred_background(view: View, picture: Image.Image) -> Image.Image:
    """Blur everything but the main thing, as a wide lens does."""
    mask, _ = main_thing(view, (), None, in_sky=True)
    unit = min(picture.size)
    soft = picture.filter(ImageFilter.GaussianBlur(unit / 55))
    return Image.composite(picture, soft, mask_of(np.clip(blurred(mask, 2) * 1.3, 0, 1)))


def bring_in(view: View, picture: Image.Image, others: Sequence[Image.Image], seed: int) -> Image.Image:
    """Put what other pictures show into this one: cut out where that is sure, as a print that leans there where not."""
    busy = _busy(view)
    unit = min(picture.size)
    line = view.horizon if view.has_sky else picture.height * 0.5
    a = stream(seed, "others").random(len(others) * 2)
    for number, other in enumerate(others):
        x = _free_place(busy, 0.2 + 0.6 * ((number * 0.618 + float(a[2 * number])) % 1.0), 0.14)
        at = int(x * len(busy))
        reach = len(busy) // 8
        busy[max(0, at - reach) : at + reach] += 1.0
        cut = _cut_out(other)
        if cut is None:
            _lean(picture, other, x, unit, float(a[2 * number + 1]))
            continue
        piece, mask = cut
        tall = unit * 0.42
        size = (max(8, round(piece.width * tall / piece.height)), max(8, round(tall)))
        if size[0] > picture.width * 0.5:
            size = (picture.width // 2, max(8, round(piece.height * picture.width * 0.5 / piece.width)))
        piece, mask = (each.resize(size, Image.Resampling.LANCZOS) for each in (piece, mask))
        foot = int(line + (picture.height - line) * (0.62 + 0.25 * float(a[2 * number + 1])))
        place_at = (int(x * picture.width) - size[0] // 2, foot - size[1])
        _shadow(picture, mask, place_at)
        picture.paste(_in_light(piece, picture, mask), place_at, mask)
    return picture


def _cut_out(other: Image.Image) -> tuple[Image.Image, Image.Image] | None:
    """Cut the main thing out of a picture, or say that none is sure."""
    view = look_at(other)
    mask, region = main_thing(view, (), None)
    mask, share = _cut(mask), float(region.mean())
    rows, columns = np.nonzero(mask > 0.3)
    if not 0.01 < share < 0.4 or not len(rows):
        return None
    box = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
    if min(box[2] - box[0], box[3] - box[1]) < 16 or box[2] - box[0] > 0.85 * other.width:
        return None
    return other.crop(box), mask_of(mask).crop(box)


def _cut(mask: Field) -> Field:
    """Draw a mask in a little, so that nothing of what was around comes along."""
    return field(np.clip((mask - 0.5) * 2.4, 0, 1))


def _in_light(piece: Image.Image, picture: Image.Image, mask: Image.Image) -> Image.Image:
    """Bring a piece a part of the way to the picture's light."""
    mine = pixels_of(piece)
    weights = np.asarray(mask, np.float32)[..., None] / 255.0
    own = (mine * weights).sum(axis=(0, 1)) / max(float(weights.sum()), 1.0)
    there = pixels_of(picture.resize((32, 32), Image.Resampling.BOX)).mean(axis=(0, 1))
    # Its own colours stay: half of the way in brightness, little in hue.
    bright = float(luma_of(there)) / max(float(luma_of(own)), 8.0)
    factor = np.clip(bright**0.55 * (there / np.maximum(own, 8.0) / bright) ** 0.12, 0.4, 1.4)
    return picture_of(mine * factor)


def _shadow(picture: Image.Image, mask: Image.Image, at: tuple[int, int]) -> None:
    wide, high = mask.size
    flat = mask.resize((wide, max(4, high // 7))).filter(ImageFilter.GaussianBlur(max(2, wide / 24)))
    faint = flat.point([v * 2 // 5 for v in range(256)])
    picture.paste((20, 22, 34), (at[0], at[1] + high - faint.height * 3 // 5), faint)


def _lean(picture: Image.Image, other: Image.Image, x: float, unit: int, tilt: float) -> None:
    """Let a picture stand in another one as a print with a white edge."""
    side = round(unit * 0.34)
    inset = ImageOps.contain(other, (side, side), Image.Resampling.LANCZOS)
    inset = ImageOps.expand(inset, max(3, side // 26), (246, 244, 238))
    degrees = (tilt - 0.5) * 9.0
    mask = Image.new("L", inset.size, 255).rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    inset = inset.rotate(degrees, Image.Resampling.BICUBIC, expand=True)
    at = (int(x * picture.width) - inset.width // 2, int(picture.height * 0.93) - inset.height)
    _shadow(picture, mask, at)
    picture.paste(inset, at, mask)


def found_to_remove(view: View, kind: str) -> tuple[Field, Field]:
    """Find what is to be taken out: where it is, and that with what it throws below itself."""
    mask, _ = find(view, kind)
    return mask, np.maximum(mask, reflected(mask, view))
