"""Puts subjects into a picture: where, how big, in which light, with their shadow or reflection."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from qwen_widgets.offline.painting.brush import (
    RGB,
    Box,
    Points,
    bytes_of,
    coverage,
    fill,
    glow,
    lit,
    luma,
    mix,
    solid,
    stream,
    wash,
)
from qwen_widgets.offline.painting.drawing import Drawing, Figure, Inks, Shape
from qwen_widgets.offline.painting.figures import FIGURES
from qwen_widgets.offline.painting.land import SAND, grass, leaves
from qwen_widgets.offline.painting.light import Mood
from qwen_widgets.offline.painting.outdoors import Spots
from qwen_widgets.offline.painting.people import ride
from qwen_widgets.offline.painting.scene import Subject
from qwen_widgets.offline.painting.stage import Stage

#: Who can be ridden, and where on each the saddle is, in its units.
_MOUNTS: dict[str, tuple[float, float]] = {
    "horse": (-0.08, 0.7), "elephant": (0.0, 0.9), "deer": (-0.08, 0.64), "dinosaur": (-0.05, 0.5), "dragon": (0.08, 0.16),
    "bicycle": (-0.2, 0.78), "whale": (0.0, 0.4), "bear": (0.0, 0.6), "fish": (0.0, 0.2), "bird": (0.0, 0.1),
}  # fmt: skip
_RIDERS = ("astronaut", "person", "robot")
#: What has no face turned to one side, and needs no turning round.
_STILL = frozenset(
    {
        "balloon",
        "lantern",
        "tree",
        "flower",
        "mushroom",
        "penguin",
        "panda",
        "bear",
        "snowman",
        "apple",
        "fruit",
        "lamp",
        "vase",
        "book",
        "temple",
        "bridge",
        "rocket",
        "robot",
    }
)


#: Who walks home in a street that names nobody.
WALKER = Subject("walker")


@dataclass(slots=True)
class Placed:
    """A subject in its place: x and y in pixels, its unit in pixels, and whether it looks to the left."""

    subject: Subject
    figure: Figure
    x: float
    y: float
    scale: float
    left: bool
    number: int
    stance: str
    depth: float = 0.0
    rider: Subject | None = None


def inks_of(subject: Subject, figure: Figure, stage: Stage) -> Inks:
    """Give the tones of a subject: the prompt's colours, else its own."""
    body, accent = figure.body, figure.accent
    if subject.kind == "tree":
        body = leaves(stage)[0]
        if stage.scene.season == "winter":
            body = (226, 234, 246)
    if subject.colours:
        body = subject.colours[0]
        # "A red fox" is the animal's name, and its red is a warm one.
        if subject.kind == "fox" and body[0] > 180 and body[1] < 80:
            body = (222, 92, 36)
        if luma(body) > 225 and luma(accent) > 225 and subject.kind in {"boat", "car"}:
            accent = (206, 214, 226)
        if (
            subject.kind in {"balloon", "kite"}
            and max(abs(a - b) for a, b in zip(body, accent, strict=True)) < 60
        ):
            accent = (246, 244, 238)
    if len(subject.colours) > 1:
        accent = subject.colours[1]
    return Inks(body, accent, lamps=stage.mood.dark, snow=stage.scene.season == "winter")


def place(stage: Stage, spots: Spots) -> list[Placed]:
    """Choose where every subject goes; each keeps its place while others come and go."""
    scene = stage.scene
    riders = [s for s in scene.subjects if s.kind in _RIDERS]
    mounts = [s for s in scene.subjects if s.kind in _MOUNTS]
    rider = riders[0] if scene.riding and riders and mounts else None
    mount = mounts[0] if rider is not None else None
    placed: list[Placed] = []
    row = 0
    for subject in scene.subjects:
        if subject is rider:
            continue
        figure = FIGURES.get(subject.kind)
        if figure is None:
            continue
        for number in range(subject.count):
            spot = _spot(stage, spots, subject, figure, number, row)
            spot.rider = rider if subject is mount and number == 0 else None
            if spot.rider is not None:
                spot.scale *= 1.2
            placed.append(spot)
        row += 1
    if not scene.subjects and spots.surface == "road" and not scene.deserted:
        # A street is never empty: somebody walks home.
        placed.append(_spot(stage, spots, WALKER, FIGURES[WALKER.kind], 0, 0))
    return sorted(placed, key=lambda spot: (spot.stance != "sky", spot.y))


def _spot(stage: Stage, spots: Spots, subject: Subject, figure: Figure, number: int, row: int) -> Placed:
    rng = stage.stream(f"{subject.spot or subject.kind} {number}")
    a, b, c, d = rng.random(4).tolist()
    first = float(stage.stream("placing").random())
    unit = min(stage.unit, stage.width * 0.95)
    stance = _stance(figure.stance, spots, subject.kind)
    # On a line of thirds, left or right by the seed; the next subject on the other.
    side = (first < 0.5) != (row % 2 == 1)
    x = (0.32 if side else 0.66) + (b - 0.5) * 0.14
    if row >= 2:
        x = 0.5 + (b - 0.5) * 0.1 if row == 2 else 0.14 + 0.72 * b
    crowd = subject.count
    low, high = spots.across
    size = figure.size * unit * (0.92 + 0.2 * c)
    if crowd > 1:
        x = (number + 0.5 + (b - 0.5) * 0.4) / crowd * 0.82 + 0.09
        size *= (0.86, 0.76, 0.7, 0.66)[min(crowd, 5) - 2]
    if spots.across != (0.0, 1.0):
        x = low + (high - low) * (x if crowd > 1 or row else 0.5 + (x - 0.5) * 1.3)
    depth, y = 0.0, 0.0
    far, near = spots.ground
    if stance == "sky":
        top, bottom = spots.sky
        y = top + (bottom - top) * (0.3 + 0.35 * a)
        if crowd > 1:
            y = top + (bottom - top) * ((number * 0.618 + 0.2 + 0.15 * a) % 1.0)
            size *= 0.62 + 0.5 * ((number * 0.382 + 0.9) % 1.0)
        half = size * 0.6
        y = max(y, half + stage.height * 0.02)
    elif stance == "water" and spots.water is not None:
        top, bottom = spots.water
        t = 0.34 + 0.26 * a if crowd == 1 else (0.12 + 0.72 * ((number * 0.618 + a * 0.3) % 1.0))
        y = top + (bottom - top) * t
        size *= 0.66 + 0.62 * t
        depth = 0.1 * (1 - t)
    elif stance == "shore":
        y = stage.horizon + stage.unit * 0.008
        size *= 0.82
        depth = 0.12
    else:
        t = 0.6 + 0.25 * a if crowd == 1 else 0.25 + 0.7 * ((number * 0.618 + a * 0.3) % 1.0)
        if figure.stance == "built" or subject.kind in {"tree", "palm"}:
            t = min(t, 0.1 + 0.3 * a)
        if row == 1 and figure.stance != "built":
            t = min(1.0, t + 0.1)
        y = far + (near - far) * t
        if near - far > unit * 0.12 and stance not in {"table", "small"}:
            size *= 0.74 + 0.4 * t
    if stance == "table":
        size *= 1.3
    if subject.kind == WALKER.kind:
        size *= 0.92
    if figure.stance == "perch":
        # On a branch that reaches in from the nearer side.
        x, y = (0.27, 0.0) if x < 0.5 else (0.73, 0.0)
        x += (b - 0.5) * 0.1
        y = min(stage.horizon + unit * 0.06, stage.height * 0.62)
        return Placed(subject, figure, stage.width * x, y, size, x > 0.5, number, stance)
    if figure.stance == "span":
        x, size = 0.5 + (b - 0.5) * 0.1, size * 1.7
        y += stage.unit * 0.05
    left = d < 0.5 if subject.kind not in _STILL else False
    # Look into the picture, mostly.
    if subject.kind not in _STILL and abs(x - 0.5) > 0.08 and crowd == 1:
        left = x > 0.5
    return Placed(subject, figure, stage.width * x, y, size, left, number, stance, depth)


def _stance(stance: str, spots: Spots, kind: str) -> str:
    if spots.surface in {"table", "sill"}:
        return (
            "sky"
            if kind in {"balloon", "bird", "butterfly", "airplane", "dragon", "kite", "rocket"}
            and kind != "lantern"
            else "table"
        )
    if spots.surface == "seabed":
        return (
            "sky"
            if stance in {"deep", "sky", "water", "ground"}
            and kind not in {"castle", "house", "person", "astronaut", "robot"}
            else "ground"
        )
    if spots.surface == "void":
        return "sky"
    if stance == "water":
        return "water" if spots.water is not None else "sky" if kind in {"whale", "fish"} else "ground"
    if stance == "deep":
        return "water" if spots.water is not None else "sky"
    if stance == "built":
        return "shore" if spots.shore else "ground"
    if stance == "span":
        return "shore" if spots.shore else "ground"
    if stance == "perch":
        return "sky"
    return "sky" if stance == "sky" else "ground"


# Drawing ------------------------------------------------------------------------------------------------


def draw_shapes(subject: Subject, figure: Figure, stage: Stage, number: int) -> Drawing:
    """Draw a subject in its own units."""
    drawing = Drawing(inks_of(subject, figure, stage), stream(stage.seed, f"{subject.kind} {number} shapes"))
    figure.draw(drawing)
    return drawing


def _with_rider(drawing: Drawing, spot: Placed, stage: Stage) -> None:
    rider = spot.rider
    if rider is None:
        return
    figure = FIGURES[rider.kind]
    inks = inks_of(rider, figure, stage)
    above = Drawing(inks, stream(stage.seed, f"{rider.kind} rides"))
    ride(above, rider.kind)
    x, y = _MOUNTS[spot.subject.kind]
    size = 0.92
    for shape in above.shapes:
        moved = tuple(points * size + (x, y) for points in shape.polygons)
        drawing.shapes.append(Shape(shape.tone, moved, shape.clipped, shape.bright, shape.opacity))


def tone_in(mood: Mood, tone: RGB, depth: float) -> RGB:
    """Show a subject's tone in the light of the hour; it stays clearer than the land does."""
    seen = lit(tone, mix(mood.light, (255, 255, 255), 0.2 if mood.dark else 0.12))
    return mix(seen, mood.haze, depth)


def render(stage: Stage, spot: Placed, drawing: Drawing) -> tuple[Image.Image, Image.Image, Box]:
    """Fill the shapes of a drawing: the colours, the mask and the box they take, in pixels."""
    turn = -1.0 if spot.left else 1.0
    factor, origin = np.array((turn * spot.scale, -spot.scale)), (spot.x, spot.y)
    placed: list[tuple[Shape, list[Points]]] = [
        (shape, [points * factor + origin for points in shape.polygons]) for shape in drawing.shapes
    ]
    solid_parts = [points for shape, polygons in placed if not shape.clipped for points in polygons]
    lows = np.min([points.min(axis=0) for points in solid_parts], axis=0)
    highs = np.max([points.max(axis=0) for points in solid_parts], axis=0)
    box = (int(lows[0]) - 2, int(lows[1]) - 2, int(highs[0]) + 3, int(highs[1]) + 3)
    size = (box[2] - box[0], box[3] - box[1])
    colours = Image.new("RGB", size, solid(tone_in(stage.mood, drawing.inks.shade, spot.depth)))
    mask = Image.new("L", size, 0)
    last: tuple[Image.Image, Box] | None = None
    for shape, polygons in placed:
        if not polygons:
            continue
        low = np.min([points.min(axis=0) for points in polygons], axis=0)
        high = np.max([points.max(axis=0) for points in polygons], axis=0)
        part = (
            max(box[0], int(low[0]) - 1),
            max(box[1], int(low[1]) - 1),
            min(box[2], int(high[0]) + 2),
            min(box[3], int(high[1]) + 2),
        )
        if shape.clipped and last is not None:
            within = last[1]
            part = (
                max(part[0], within[0]),
                max(part[1], within[1]),
                min(part[2], within[2]),
                min(part[3], within[3]),
            )
        if part[2] <= part[0] or part[3] <= part[1]:
            continue
        cover = Image.fromarray(coverage(polygons, part))
        at = (part[0] - box[0], part[1] - box[1])
        if shape.clipped and last is not None:
            whole, within = last
            cut = whole.crop(
                (part[0] - within[0], part[1] - within[1], part[2] - within[0], part[3] - within[1])
            )
            cover = ImageChops.multiply(cover, cut)
        if shape.opacity < 1.0:
            cover = cover.point([int(v * shape.opacity) for v in range(256)])
        tone = shape.tone if shape.bright else tone_in(stage.mood, shape.tone, spot.depth)
        colours.paste(solid(tone), at, cover)
        if not shape.clipped:
            last = (cover, part)
            mask.paste(255, at, cover)
    return colours, mask, box


def _rim(stage: Stage, spot: Placed, colours: Image.Image, mask: Image.Image) -> None:
    """Let the sun or the moon draw a line of light along the edge that faces it."""
    mood = stage.mood
    if mood.rim < 0.05:
        return
    thick = max(1, round(spot.scale * 0.016))
    toward = 1 if stage.sun[0] > spot.x else -1
    moved = Image.new("L", mask.size, 0)
    moved.paste(mask, (-toward * thick, max(1, thick * 2 // 3)))
    edge = ImageChops.subtract(mask, moved)
    strength = mood.rim * (0.8 if not mood.moon else 0.5)
    wash(
        colours,
        mix(mood.halo, (255, 255, 255), 0.25),
        (0, 0, *mask.size),
        edge.point([int(v * strength) for v in range(256)]),
    )
    # The side away from the light sinks into shadow a little.
    wide, high = mask.size
    side = np.linspace(0.0, 1.0, wide)
    dim = (1.0 - side if toward > 0 else side)[None, :] * 0.22 + (np.linspace(0, 1, high) ** 2)[
        :, None
    ] * 0.12
    wash(
        colours,
        mood.shadow,
        (0, 0, *mask.size),
        Image.fromarray(bytes_of(np.round(dim * min(1.0, mood.rim + 0.3), 5))),
    )


def _keep_inside(stage: Stage, spot: Placed, drawing: Drawing) -> None:
    """Move a subject that would be cut by the picture's side, unless it is longer than the picture."""
    if spot.figure.stance == "perch":  # its branch comes from outside
        return
    turn = -1.0 if spot.left else 1.0
    columns = [
        points[:, 0] * turn * spot.scale
        for shape in drawing.shapes
        if not shape.clipped
        for points in shape.polygons
    ]
    low, high = min(float(c.min()) for c in columns), max(float(c.max()) for c in columns)
    margin = stage.width * 0.025
    if high - low < stage.width - 2 * margin:
        spot.x = min(max(spot.x, margin - low), stage.width - margin - high)


def draw_subject(stage: Stage, spots: Spots, spot: Placed) -> None:
    """Draw one subject where it belongs, with what it throws on the ground or the water."""
    drawing = draw_shapes(spot.subject, spot.figure, stage, spot.number)
    _with_rider(drawing, spot, stage)
    if not drawing.shapes:
        return
    _keep_inside(stage, spot, drawing)
    if spot.stance == "sky":
        # Nothing that flies leaves the picture at the top.
        highest = max(
            float(points[:, 1].max())
            for shape in drawing.shapes
            if not shape.clipped
            for points in shape.polygons
        )
        spot.y = max(spot.y, highest * spot.scale + stage.height * 0.02)
    colours, mask, box = render(stage, spot, drawing)
    _rim(stage, spot, colours, mask)
    picture = stage.picture
    on_shore = spot.stance == "shore" and spots.water is not None and spot.figure.stance != "span"
    if spot.stance == "water" or on_shore:
        _reflect(stage, spot, colours, mask, box)
    elif spot.stance in {"ground", "table"}:
        _shade_ground(stage, spot, mask, box, spots.surface)
    turn = -1.0 if spot.left else 1.0
    lights = [
        (spot.x + turn * x * spot.scale, spot.y - y * spot.scale, r * spot.scale, tone)
        for x, y, r, tone in drawing.lamps
    ]
    strength = 0.85 if stage.mood.dark else 0.4
    for x, y, radius, tone in lights:
        glow(picture, (x, y), radius * 1.2, tone, strength * 0.7)
    picture.paste(colours, (box[0], box[1]), mask)
    for x, y, radius, tone in lights:
        glow(picture, (x, y), radius, tone, strength * 0.5)
    if spot.subject.kind == "lighthouse" and (stage.mood.dark or stage.scene.weather & {"fog", "rain"}):
        _beam(stage, spot)
    if (
        spot.stance == "ground"
        and spots.surface in {"snow", "grass", "sand"}
        and spot.figure.stance in {"ground", "built"}
    ):
        _settle(stage, spot, mask, box, spots.surface)


def _beam(stage: Stage, spot: Placed) -> None:
    """Let a lighthouse throw its light to both sides."""
    x, y = spot.x, spot.y - 0.99 * spot.scale
    tilt = (float(stage.stream("beam").random()) - 0.5) * 0.24
    for side in (-1.0, 1.0):
        for wide, opacity in ((0.2, 0.07), (0.12, 0.09), (0.05, 0.14)):
            far = float(stage.width)
            end = (x + side * far, y + tilt * side * far)
            beam = np.array(
                [
                    (x + side * spot.scale * 0.07, y - spot.scale * 0.03),
                    (end[0], end[1] - far * wide * 0.5),
                    (end[0], end[1] + far * wide * 0.5),
                    (x + side * spot.scale * 0.07, y + spot.scale * 0.03),
                ]
            )
            fill(stage.picture, [beam], (255, 240, 190), opacity)


def _reflect(stage: Stage, spot: Placed, colours: Image.Image, mask: Image.Image, box: Box) -> None:
    """Mirror a subject in the water below it, broken by ripples."""
    line = int(spot.y)
    above = line - box[1]
    if above < 3:
        return
    squash = 0.72
    high = max(2, int(above * squash))
    wide = mask.width
    size = (wide, high)
    flipped = (
        colours.crop((0, 0, wide, above))
        .transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        .resize(size, Image.Resampling.BILINEAR)
    )
    shape = (
        mask.crop((0, 0, wide, above))
        .transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        .resize(size, Image.Resampling.BILINEAR)
    )
    rng = stage.stream(f"{spot.subject.kind} {spot.number} ripples")
    knots = rng.random(high // 2 + 3) * 2 - 1
    rows = np.arange(high)
    fine = np.interp(rows / max(1.5, stage.unit * 0.006), np.arange(len(knots)), knots)
    reach = stage.unit * 0.012 * (0.25 + rows / max(1, high))
    shift = np.floor(fine * reach + 0.5).astype(np.int64)
    column = np.clip(np.arange(wide)[None, :] - shift[:, None], 0, wide - 1)
    moved = np.take_along_axis(np.asarray(shape), column, axis=1)
    fade = (1.0 - rows / high) * 0.55 + 0.12
    moved = (moved * fade[:, None]).astype(np.uint8)
    tones = np.asarray(flipped)[rows[:, None], column]
    tinted = Image.blend(
        Image.fromarray(np.ascontiguousarray(tones)),
        Image.new("RGB", size, solid(mix(stage.mood.shadow, stage.mood.sky[2], 0.3))),
        0.25,
    )
    stage.picture.paste(tinted, (box[0], line), Image.fromarray(moved))
    if spot.stance == "water":
        # A dark line where it sits, and a ripple of light beside it.
        half = spot.scale * 0.52
        _soft_oval(stage, spot.x, line + 1, half, spot.scale * 0.05, stage.mood.shadow, 0.55)


def _soft_oval(stage: Stage, x: float, y: float, rx: float, ry: float, tone: RGB, opacity: float) -> None:
    wide, high = max(6, int(rx * 2.4)), max(4, int(ry * 2.4))
    dx = (np.arange(wide) + 0.5) / wide * 2 - 1
    dy = ((np.arange(high) + 0.5) / high * 2 - 1)[:, None]
    near = np.clip(1.0 - (dx * dx + dy * dy), 0, 1)
    mask = Image.fromarray(bytes_of(np.minimum(near * 1.7, 1.0) * near * opacity))
    stage.picture.paste(solid(tone), (int(x - wide / 2), int(y - high / 2)), mask)


def _shade_ground(stage: Stage, spot: Placed, mask: Image.Image, box: Box, surface: str) -> None:
    """Throw a subject's shadow: a dark one below it, a long one away from a low sun."""
    mood = stage.mood
    tone = mix(mood.shadow, (60, 80, 150), 0.35) if surface == "snow" and not mood.dark else mood.shadow
    half = mask.width * 0.42
    _soft_oval(stage, spot.x, spot.y, half, max(3.0, spot.scale * 0.07), tone, 0.5)
    overcast = bool(stage.scene.weather & {"rain", "storm", "fog", "snowfall"})
    if overcast or mood.halo_strength < 0.3:
        return
    long = 0.34 if mood.height < 0.3 else 0.2
    line = int(spot.y)
    above = min(line - box[1], mask.height)
    high = int(above * long)
    if high < 4 or above < 4:
        return
    away = -1.0 if stage.sun[0] > spot.x else 1.0
    slant = away * min(2.2, 0.5 + abs(stage.sun[0] - spot.x) / stage.unit * 1.8)
    wide = mask.width + int(abs(slant) * high) + 2
    flat = np.asarray(
        mask.crop((0, 0, mask.width, above))
        .transpose(Image.Transpose.FLIP_TOP_BOTTOM)
        .resize((mask.width, high), Image.Resampling.BILINEAR)
    )
    shadow = np.zeros((high, wide), np.uint8)
    rows = np.arange(high)
    start = np.floor((rows * slant) if slant > 0 else (wide - mask.width + rows * slant)).astype(np.int64)
    start = np.clip(start, 0, wide - mask.width)
    shadow[rows[:, None], start[:, None] + np.arange(mask.width)] = flat
    fade = 0.46 * (1.0 - 0.75 * rows / high)
    soft = Image.fromarray((shadow * fade[:, None]).astype(np.uint8)).filter(
        ImageFilter.BoxBlur(max(1, int(spot.scale * 0.008)))
    )
    left = box[0] if slant > 0 else box[0] - (wide - mask.width)
    stage.picture.paste(solid(tone), (left, line - 1), soft)


def _settle(stage: Stage, spot: Placed, mask: Image.Image, box: Box, surface: str) -> None:
    """Let the ground come up in front of the feet: a drift of snow, blades of grass, a heap of leaves."""
    mood, unit = stage.mood, stage.unit
    rng = stage.stream(f"{spot.subject.kind} {spot.number} settles")
    half = mask.width * 0.46
    middle = box[0] + mask.width / 2
    if surface == "snow":
        tone = mood.snow(0.25)
    elif surface == "sand":
        tone = mood.far(stage.scene.tint("desert") or SAND, 0.0)
    else:
        tone = mood.far(mix(grass(stage), mood.shadow, 0.14), 0.0)
    if surface in {"snow", "sand"}:
        lumps = [
            np.array(p)
            for p in _lumps(
                rng.random((7, 2)).tolist(),
                middle,
                spot.y,
                half,
                spot.scale * (0.045 if surface == "snow" else 0.025),
            )
        ]
    else:
        lumps = []
        for a, b in rng.random((int(12 + half / unit * 60), 2)).tolist():
            x, high = (
                middle + (a * 2 - 1) * half,
                unit * (0.012 + 0.02 * b) * min(1.0, spot.scale / (unit * 0.2)),
            )
            y = spot.y + unit * 0.008
            lumps.append(
                np.array([(x - high * 0.16, y), (x + (b - 0.5) * high, y - high), (x + high * 0.16, y)])
            )
    fill(stage.picture, lumps, tone)
    if surface == "grass" and stage.scene.season == "autumn":
        hues = leaves(stage)
        for k, (a, b, c) in enumerate(rng.random((16, 3)).tolist()):
            x, y = middle + (a * 2 - 1) * half * 1.15, spot.y + unit * (0.012 * b)
            long = unit * (0.009 + 0.006 * c)
            leaf = np.array(
                [
                    (x - long, y),
                    (x, y - long * 0.6),
                    (x + long, y - long * 0.2),
                    (x + long * 0.2, y + long * 0.5),
                ]
            )
            fill(stage.picture, [leaf], mood.far(hues[k % len(hues)], 0.0))


def _lumps(
    numbers: list[list[float]], middle: float, y: float, half: float, high: float
) -> list[list[tuple[float, float]]]:
    lumps = []
    for a, b in numbers:
        x, wide = middle + (a * 2 - 1) * half * 0.8, half * (0.16 + 0.2 * b)
        top = high * (0.5 + 0.7 * b)
        lumps.append(
            [
                (x - wide, y + high * 0.5),
                (x - wide * 0.6, y - top * 0.5),
                (x, y - top * 0.75),
                (x + wide * 0.6, y - top * 0.5),
                (x + wide, y + high * 0.5),
            ]
        )
    return lumps


def draw_all(stage: Stage, spots: Spots) -> None:
    """Draw every subject of the scene, the far ones first."""
    for spot in place(stage, spots):
        draw_subject(stage, spots, spot)
