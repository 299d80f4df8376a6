"""What a picture shows, as far as its pixels tell: where the sky is, the water, the light, and what stands out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from qwen_widgets.offline.editing.raster import (
    RGB,
    Field,
    Flags,
    along_edges,
    blurred,
    field,
    grown,
    luma_of,
    pieces,
    pixels_of,
    reached,
    tone,
)
from qwen_widgets.offline.painting.brush import luma
from qwen_widgets.offline.painting.light import MOODS

#: The longer side at which a picture is looked at, pixels.
_LOOK = 160


@dataclass(frozen=True, slots=True)
class View:
    """A picture, looked at.

    Attributes
    ----------
    pixels : array
        Rows × columns × 3, 0 to 255.
    small : array
        The same, small.
    sky, water : array
        Where they are, 0 to 1, at full size; all 0 where there is none.
    small_sky : array
        Where the sky is in the small picture.
    horizon : float
        Where the sky ends, in pixels from the top.
    sun : tuple of float or None
        The middle of the sun or the moon, in pixels.
    hour : str
        The hour whose light it is in.
    """

    pixels: Field
    small: Field
    sky: Field
    small_sky: Field
    water: Field
    horizon: float
    sun: tuple[float, float] | None
    hour: str

    def with_pixels(self, pixels: Field, small: Field | None = None) -> View:
        """Give the same view of other pixels, whose regions are as they were."""
        return replace(self, pixels=pixels, small=self.small if small is None else small)

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def has_sky(self) -> bool:
        """Whether a sky was found."""
        return bool(self.small_sky.mean() > 0.05)

    @property
    def has_water(self) -> bool:
        """Whether water was found."""
        return bool(self.water[::4, ::4].mean() > 0.04)


def look_at(picture: Image.Image) -> View:
    """Look at a picture."""
    pixels = pixels_of(picture)
    scale = _LOOK / max(picture.size)
    size = (max(16, round(picture.width * scale)), max(16, round(picture.height * scale)))
    small = pixels_of(picture.resize(size, Image.Resampling.BOX))
    sky = _sky(small)
    guide, full = luma_of(small), luma_of(pixels)
    rows = small.shape[0]
    horizon = _horizon(sky)
    fine = along_edges(sky.astype(np.float32), guide, full) if sky.any() else np.zeros_like(full)
    # The filter leaves a breath of the mask on what looks like the sky; only the ends are sure.
    fine = np.clip((fine - 0.25) * 2.0, 0.0, 1.0).astype(np.float32)
    water = _water(small, sky, horizon)
    wet = along_edges(water, guide, full, calm=120.0) if water.any() else np.zeros_like(full)
    sun = _sun(small, sky)
    factor = picture.height / rows
    return View(
        pixels=pixels,
        small=small,
        sky=fine,
        small_sky=sky.astype(np.float32),
        water=np.minimum(wet, 1.0 - fine),
        horizon=horizon * factor,
        sun=None if sun is None else (sun[0] * factor, sun[1] * factor),
        hour=_hour(small, sky),
    )


# The sky ------------------------------------------------------------------------------------------------


def _sky(small: Field) -> Flags:
    """Tell where the sky is: what hangs together from the top on, row by row alike, above where things begin."""
    rows, columns = small.shape[:2]
    # The median takes rain, stars and twigs away.
    as_bytes = Image.fromarray(small.astype(np.uint8))
    soft = pixels_of(as_bytes.filter(ImageFilter.MedianFilter(5)).filter(ImageFilter.BoxBlur(1)))
    down = np.abs(np.diff(soft, axis=0)).max(axis=2)
    # The border of each column: the first step that is no gradient; the step that makes both sides most uniform wins.
    best, border = -1.0, np.zeros(columns, np.int64)
    for step in (6, 9, 13, 18, 25):
        hit = down > step
        line = np.where(hit.any(axis=0), hit.argmax(axis=0) + 1, rows)
        above = np.arange(rows)[:, None] < line
        if not 0.04 < above.mean() < 0.97:
            continue
        value = 1.0 / (2.0 * _spread(soft[above]) + _spread(soft[~above]) + 1e-3)
        if value > best:
            best, border = value, line
    # A window or a lamp below a strip of wall is no sky: most columns begin with some of it.
    if best < 0 or (border > 0.07 * rows).mean() < 0.55:
        return np.zeros((rows, columns), bool)
    sure = np.arange(rows)[:, None] < border
    model = _rows_model(soft, sure)
    if model is None:
        return np.zeros((rows, columns), bool)
    # A sun, a cloud or a bird ends a column early. What is lighter than the sky and has sky below it is in front of it; a
    # peak has rock below it.
    open_air = np.arange(rows)[:, None] < min(float(np.percentile(border, 92)), 0.85 * rows)
    sure &= open_air
    away = np.abs(soft - model[:, None, :]).max(axis=2)
    sure &= away < 50  # a trunk or a wall can go through from the top to the foot
    like = open_air & (away < 22)
    lighter = luma_of(soft) - luma_of(model)[:, None]
    ahead = np.concatenate((np.cumsum(like[::-1], axis=0)[::-1], np.zeros((rows // 4, columns), np.int64)))
    below = ahead[:rows] - ahead[rows // 4 :][:rows] > rows // 40
    like |= open_air & below & (lighter > -6) & ~(_vivid(soft) & (lighter < 40))
    # The glow around a sun goes over into the sky without an edge; a peak has one.
    calm = np.zeros((rows, columns), bool)
    calm[1:, 1:] = (down[:, 1:] < 5) & (np.abs(np.diff(soft, axis=1)).max(axis=2)[1:] < 5)
    green = soft[..., 1] > np.maximum(soft[..., 0], soft[..., 2]) + 5
    like = reached(like, like | (open_air & calm & (lighter > -6) & (away < 110))) & ~green
    sure &= ~green
    found = reached(np.arange(rows)[:, None] * np.ones(columns, np.int64) < 2, like | sure)
    # Holes that do not hang together with the ground are clouds, the sun, or something that flies; the pale ones are sky.
    ground = ~found
    floor = np.zeros_like(ground)
    floor[-1] = ground[-1]
    for hole in pieces(ground & ~reached(floor, ground)):
        inside = soft[hole].mean(axis=0)
        around = soft[grown(hole, 2) & found]
        if (
            around.size
            and float(luma_of(inside)) > float(luma_of(around.mean(axis=0)))
            and not (_vivid(inside[None, None, :])[0, 0] and hole.sum() > 12)
        ):
            found |= hole
    # A low sun can be half behind a ridge, out of reach of the sky.
    glaring = (
        (small[..., 0] >= 248) & (luma_of(small) > 222) & ~found & grown(open_air & np.ones_like(found), 6)
    )
    for disc in pieces(glaring, 8):
        across, down = np.ptp(np.nonzero(disc)[1]) + 1, np.ptp(np.nonzero(disc)[0]) + 1
        if disc.sum() < 0.012 * disc.size and 0.4 < across / down < 3.2 and (grown(disc, 3) & found).any():
            found |= grown(disc, 1)
    return found if _is_sky(small, found) else np.zeros((rows, columns), bool)


def _spread(colours: Field) -> float:
    return float(colours.std(axis=0).mean()) if len(colours) else 99.0


def _vivid(pixels: Field) -> Flags:
    vivid: Flags = (pixels.max(axis=-1) - pixels.min(axis=-1)) > 105
    return vivid


def _rows_model(soft: Field, sure: Flags) -> Field | None:
    """Give the colour of the sky in each row; below the last one that is sure, that of the last."""
    counts = sure.sum(axis=1)
    known = np.flatnonzero(counts >= max(3, soft.shape[1] // 12))
    if len(known) < 3:
        return None
    means = np.stack([np.median(soft[y][sure[y]], axis=0) for y in known])
    lines = np.arange(soft.shape[0])
    return np.stack([np.interp(lines, known, means[:, c]) for c in range(3)], axis=1).astype(np.float32)


def _is_sky(small: Field, found: Flags) -> bool:
    """Tell a sky from a wall or a plain ground: it has the upper edge, and is blue, grey, dark or goes over."""
    if found.mean() < 0.06 or found[: max(2, len(found) // 16)].mean() < 0.55:
        return False
    rows, columns = found.shape
    middle = found[: rows // 5, columns // 4 : columns - columns // 4]
    if middle.mean() < 0.5:
        return False
    colours = small[found]
    mean = colours.mean(axis=0)
    bluish = mean[2] > mean[0] + 4
    lines = np.flatnonzero(found.sum(axis=1) > small.shape[1] * 0.25)
    if len(lines) < 4:
        return False
    top, foot = (small[y][found[y]].mean(axis=0) for y in (lines[0], lines[-1]))
    goes_over = float(np.abs(top - foot).max()) > 26
    grey = float(mean.max() - mean.min()) < 16 and float(mean.mean()) > 120
    return bool(bluish or goes_over or grey)


def _horizon(sky: Flags) -> float:
    if not sky.any():
        return 0.5 * len(sky)
    heights = np.where(sky.any(axis=0), sky.shape[0] - np.argmax(sky[::-1], axis=0), 0)
    return float(np.percentile(heights, 75))


def _sun(small: Field, sky: Flags) -> tuple[float, float] | None:
    """Find a disc in the sky that outshines it."""
    if not sky.any():
        return None
    bright = luma_of(small)
    inside = bright[sky]
    limit = max(float(np.percentile(inside, 99.3)), float(np.median(inside)) + 45.0, 200.0)
    shining = (bright >= limit) & grown(sky, 1)
    share = float(shining.mean())
    if not 0.0002 < share < 0.03:
        return None
    rows, columns = np.nonzero(shining)
    if np.ptp(rows) > 0.2 * small.shape[0] or np.ptp(columns) > 0.2 * small.shape[1]:
        return None
    return float(columns.mean()) + 0.5, float(rows.mean()) + 0.5


# The rest -----------------------------------------------------------------------------------------------


def sky_rows(pixels: Field, sky: Field) -> Field:
    """Give the colour of the sky in each row, rows × 3; rows without any take the nearest that has some."""
    weights = np.where(sky > 0.9, np.float32(1), np.float32(0))
    counts = weights.sum(axis=1)
    known = np.flatnonzero(counts > max(2.0, 0.06 * sky.shape[1]))
    if not len(known):
        return np.repeat(pixels.mean(axis=(0, 1))[None], len(pixels), axis=0)
    sums = (pixels * weights[..., None]).sum(axis=1)
    means = sums[known] / counts[known][:, None]
    lines = np.arange(len(pixels))
    return np.stack([np.interp(lines, known, means[:, c]) for c in range(3)], axis=1).astype(np.float32)


def mirrored_rows(rows: Field, horizon: float) -> Field:
    """Give for each row the colour of the sky that a calm water would show there."""
    count = len(rows)
    below = np.arange(count) - horizon
    at = np.clip(horizon - below * (horizon / max(1.0, count - horizon)) * 0.85, 0, max(0.0, horizon - 1))
    return field(rows[at.astype(np.int64)])


def _water(small: Field, sky: Flags, horizon: float) -> Field:
    """Tell where the ground shows the sky: there it is water."""
    rows, columns = small.shape[:2]
    if not sky.any() or horizon > rows * 0.86:
        return np.zeros((rows, columns), np.float32)
    lines = np.flatnonzero(sky.any(axis=1))
    shown = sky_rows(small, sky.astype(np.float32))[lines[:: max(1, len(lines) // 7)]]
    soft = np.stack([blurred(small[..., c], 2) for c in range(3)], axis=2)
    # A water is darker than its sky: the hue counts more than the brightness.
    gap = soft[:, :, None, :] - shown
    bright = gap.mean(axis=3)
    hue = np.abs(gap - bright[..., None]).max(axis=3)
    like = np.exp(-((hue / 20.0) ** 2) - (bright / 75.0) ** 2).max(axis=2).astype(np.float32)
    like[np.arange(rows) < horizon] = 0
    like[sky] = 0
    # Snow shows the sky's colours, too, and hardly any colour.
    snowy = (soft.max(axis=2) - soft.min(axis=2) < 34) & (luma_of(soft) > 160)
    like *= ~snowy
    bluish = soft[..., 2] >= soft[..., 1] - 14
    like *= bluish
    flags = like > 0.45
    lines = flags.mean(axis=1)
    if lines.max(initial=0.0) < 0.4 or flags.mean() < 0.04:
        return np.zeros((rows, columns), np.float32)
    return field(np.where(flags, like, like * 0.4))


def _hour(small: Field, sky: Flags) -> str:
    """Name the hour whose sky and light come closest to the picture's; without a sky it is day."""
    if not sky.any():
        return "day"
    ground = small[~sky] if (~sky).any() else small.reshape(-1, 3)
    seen = ground.mean(axis=0)
    best, name = 1e9, "day"
    lines = np.flatnonzero(sky.any(axis=1))
    found = sky_rows(small, sky.astype(np.float32))[lines]
    stops = (0.0, 0.42, 0.76, 1.0)
    for hour, mood in MOODS.items():
        # Woods and houses hide the foot of the sky.
        skies = [
            np.stack(
                [
                    np.interp(np.linspace(0, shown, len(lines)), stops, [colour[c] for colour in mood.sky])
                    for c in range(3)
                ],
                axis=1,
            )
            for shown in (0.5, 0.75, 1.0)
        ]
        away = min(float(np.abs(found - wanted).mean()) for wanted in skies)
        away += 0.3 * float(np.abs(seen - tone(mood.light) * np.float32(0.5)).mean())
        if away < best:
            best, name = away, hour
    return name


def main_thing(
    view: View, kind_colours: tuple[RGB, ...], source: RGB | None, *, in_sky: bool = False
) -> tuple[Field, Flags]:
    """Find what stands out: its mask at full size, and its region in the small picture.

    Parameters
    ----------
    view : View
    kind_colours : tuple of RGB
        Colours that such a thing usually has.
    source : RGB or None
        The colour that it is said to have.
    in_sky : bool
        Whether it is to be looked for in the sky, too.
    """
    rows, columns = view.small.shape[:2]
    # Without the light's own colour, so that a red boat is red in a red evening, too.
    ground = view.small[view.small_sky < 0.5] if view.small_sky.mean() < 0.9 else view.small.reshape(-1, 3)
    mean = ground.mean(axis=0)
    small = (view.small / np.clip(mean / max(float(mean.mean()), 1.0), 0.6, 1.6)).astype(np.float32)
    reach = max(rows, columns) // 5
    soft = np.stack([blurred(small[..., c], reach) for c in range(3)], axis=2)
    out = np.abs(small - soft).mean(axis=2) * np.float32(0.6) + _chroma_gap(small, soft)
    out *= 0.25 + _rarity(small)
    x, y = (np.arange(n, dtype=np.float32) / n - np.float32(at) for n, at in ((columns, 0.5), (rows, 0.58)))
    centre = np.exp(-(x * x * 4.0 + (y * y * 5.0)[:, None])).astype(np.float32)
    score = blurred(out, 1) * centre
    # The sun and the clouds stand out as well, and are hardly ever meant.
    score *= 1.0 - view.small_sky * np.float32(0.5 if in_sky else 1.0)
    for colour in (source,) if source else kind_colours[:1]:
        score *= np.float32(0.2) + _alike(small, colour) * np.float32(2.0 if source else 1.2)
    flags = score > float(score.mean() + 1.6 * score.std())
    parts = pieces(flags) or [centre > 0.8]
    best = max(parts, key=lambda part: float(score[part].sum()) * _compact(part))
    # Parts of the same thing lie beside each other.
    near, wider = grown(best, max(2, rows // 40)), grown(best, max(4, rows // 10))
    region, own = best.copy(), small[best].mean(axis=0)
    for part in parts:
        alike = float(np.abs(small[part].mean(axis=0) - own).max()) < 42
        if _compact(part) > 0.5 and (part & (wider if alike else near)).any():
            region |= part
    for _ in range(3):
        larger = _filled(region, view.small)
        if larger.sum() > 3.0 * region.sum() + 60:
            break
        region = larger
    region = grown(region, 1)
    mask = along_edges(
        region.astype(np.float32), luma_of(view.small), luma_of(view.pixels), reach=2, calm=12.0
    )
    return np.clip((mask - 0.2) * 1.7, 0, 1).astype(np.float32), region


def _rarity(small: Field) -> Field:
    """Tell how far each pixel's colour is from all the others, 0 to 1, brightness counting less than hue.

    After Cheng and others, Global contrast based salient region detection, https://doi.org/10.1109/TPAMI.2014.2345401.
    """
    steps = (small / 22.0).astype(np.int64)
    names, index, counts = np.unique(
        steps[..., 0] * 4096 + steps[..., 1] * 64 + steps[..., 2], return_inverse=True, return_counts=True
    )
    colours = np.stack((names // 4096, names // 64 % 64, names % 64), axis=1).astype(np.float32) * 22.0 + 11.0
    bright = luma_of(colours)
    hues = colours - bright[:, None]
    gaps = np.abs(hues[:, None] - hues[None]).max(axis=2) + 0.35 * np.abs(bright[:, None] - bright[None])
    far = (gaps * (counts / counts.sum())).sum(axis=1)
    far = (far - far.min()) / max(float(np.ptp(far)), 1.0)
    rare: Field = far[index].reshape(small.shape[:2]).astype(np.float32)
    return rare


def _compact(part: Flags) -> float:
    """Tell a thing from a strip: how much of the width a region leaves free."""
    return max(0.05, 1.0 - 1.1 * float(part.any(axis=0).mean()))


def _chroma_gap(one: Field, other: Field) -> Field:
    a = one - luma_of(one)[..., None]
    b = other - luma_of(other)[..., None]
    return field(np.abs(a - b).max(axis=2))


def _alike(pixels: Field, colour: RGB) -> Field:
    """Tell how much pixels have a colour's hue, 0 to 1."""
    wanted = tone(colour) - np.float32(luma(colour))
    length = float(np.sqrt((wanted * wanted).sum()))
    grey = pixels - luma_of(pixels)[..., None]
    size = np.sqrt((grey * grey).sum(axis=2)) + 1e-3
    if length < 12:
        # A colour without a hue: what is grey, and as bright.
        gap = np.abs(luma_of(pixels) - luma(colour)) / 90.0
        return field(np.exp(-gap * gap - (size / 45.0) ** 2))
    cosine = (grey * wanted).sum(axis=2) / (size * length)
    return field(np.clip((cosine - 0.55) / 0.4, 0, 1) * np.clip(size / 26.0, 0, 1))


def _filled(region: Flags, small: Field) -> Flags:
    """Take in what lies next to a region and is none of the colours that surround both."""
    box = np.argwhere(region)
    low, high = box.min(axis=0), box.max(axis=0)
    span = np.maximum((high - low) // 3, 3)
    frame = np.zeros_like(region)
    frame[
        max(0, low[0] - span[0]) : high[0] + span[0] + 1, max(0, low[1] - span[1]) : high[1] + span[1] + 1
    ] = True
    around = grown(frame, 3) & ~frame
    if not around.any():
        return region
    ring = small[around]
    steps = ring[:: max(1, len(ring) // 96)]
    away = np.abs(small[frame][:, None, :] - steps[None]).max(axis=2).min(axis=1)
    differs = np.zeros_like(region)
    differs[frame] = away > 20
    return reached(region, region | (differs & frame))


def hue_share(pixels: Field, colour: RGB) -> Field:
    """Tell how much each pixel has the hue of a colour, 0 to 1."""
    return _alike(pixels, colour)
