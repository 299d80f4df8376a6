"""Landscapes: which ridges, woods, waters and grounds a place is made of, and where in it subjects stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qwen_widgets.offline.painting import land, plants, sky, skyline, water, woods
from qwen_widgets.offline.painting.brush import (
    RGB,
    Floats,
    Points,
    bounds,
    coverage,
    fill,
    lay,
    mix,
    oval,
)
from qwen_widgets.offline.painting.stage import WATERS, Stage


@dataclass(frozen=True, slots=True)
class Spots:
    """Where subjects can be put, in pixels from the top.

    Attributes
    ----------
    ground : tuple of float
        The far and the near edge of the ground that one can stand on.
    water : tuple of float or None
        The far and the near edge of the water, where there is some.
    sky : tuple of float
        The upper and the lower edge of the free sky.
    surface : str
        What the ground is: grass, snow, sand, moon, floor, table, road or seabed.
    shore : bool
        Whether big things stand on the far shore rather than in front.
    across : tuple of float
        Between which parts of the width.
    """

    ground: tuple[float, float]
    water: tuple[float, float] | None
    sky: tuple[float, float]
    surface: str = "grass"
    shore: bool = False
    across: tuple[float, float] = (0.0, 1.0)


#: Things that stand on the water or in the air, so that no ground is needed in front for them.
AFLOAT = frozenset(
    {"boat", "duck", "whale", "balloon", "bird", "kite", "airplane", "dragon", "fish", "butterfly", "bridge"}
)
#: Things that are built far away where there is water in front.
BUILT = frozenset({"castle", "lighthouse", "house", "temple", "windmill", "bridge"})


def compose(stage: Stage) -> None:
    """Choose the horizon and the place of the sun; they depend on the kind of place and the seed only."""
    places = stage.scene.places
    a, b, c = stage.stream("composition").random(3).tolist()
    low = 0.5 if places & WATERS else 0.54
    if "city" in places:
        low += 0.06
    if "heights" in places and not places - {"heights"}:
        low = 0.9
    stage.horizon = stage.height * (low + 0.09 * a)
    side = 0.2 + 0.24 * b
    x = side if c < 0.5 else 1.0 - side
    jitter = stage.stream("sun").random(2).tolist()
    rise = min(0.92, max(0.03, stage.mood.height * (0.8 + 0.4 * jitter[0])))
    # The height above the horizon is in units, so that a tall picture keeps its sun near the land.
    reach = min(stage.horizon * 0.88, stage.unit * 0.62)
    stage.sun = (stage.width * x, stage.horizon - reach * rise - stage.unit * 0.02)
    if "sun" in stage.scene.weather or "moon" in stage.scene.weather:
        stage.sun = (stage.sun[0], min(stage.sun[1], stage.horizon - reach * 0.34))


def paint_outdoors(stage: Stage) -> Spots:
    """Paint everything of a landscape but its subjects."""
    scene = stage.scene
    _raise_sun(stage)
    paint_heavens(stage)
    _backdrop(stage)
    # A city alone lies by the water, which doubles its lights.
    if scene.places & WATERS or scene.places == {"city"}:
        return _waters(stage)
    return _plain(stage)


def paint_heavens(stage: Stage) -> None:
    """Paint the sky with all that is in it."""
    sky.paint_sky(stage)
    sky.paint_lights(stage)
    sky.paint_clouds(stage)
    if "rainbow" in stage.scene.weather:
        sky.paint_rainbow(stage)
    if "storm" in stage.scene.weather:
        sky.paint_lightning(stage, stage.width * 0.5)


def _ranges(stage: Stage) -> tuple[tuple[str, float, float], tuple[str, float, float]]:
    """Give the two ranges of a mountain scene: stream, height in pixels, and pitch in units."""
    rise = min(stage.unit * 0.4, stage.horizon * 0.8)
    return ("far range", rise * 0.8, 0.5), ("range", rise, 0.72)


def _raise_sun(stage: Stage) -> None:
    """Put the sun where the land leaves it a gap, and high enough to be seen."""
    places, base, unit = stage.scene.places, stage.horizon, stage.unit
    radius = unit * 0.05
    if "heights" in places or "city" in places:
        return
    if "mountain" in places:
        lines = [land.range_line(stage, name, base, rise, pitch) for name, rise, pitch in _ranges(stage)]
        skyline = np.minimum(lines[0], lines[1])
        low, high = (0.16, 0.46) if stage.sun[0] < stage.width / 2 else (0.54, 0.84)
        first, last = (
            int(low * stage.width / 2),
            max(int(low * stage.width / 2) + 1, int(high * stage.width / 2)),
        )
        column = first + int(np.argmax(np.round(skyline[first:last], 2)))
        stage.sun = (column * 2.0, stage.sun[1])
    elif "desert" in places:
        skyline = land.hill_line(stage, "mesas", base, unit * 0.13, 0.8, 4) - unit * 0.02
    elif not places & {"sea", "beach"}:
        skyline = land.hill_line(stage, "far hills", base, min(unit * 0.2, base * 0.8), 0.7, 4)
    else:
        return
    lift = 1.5 if stage.mood.moon else 0.45
    stage.sun = (
        stage.sun[0],
        max(
            radius * 1.6,
            min(stage.sun[1], float(land.at_line(skyline)(np.array([stage.sun[0]]))[0]) - radius * lift),
        ),
    )


def _backdrop(stage: Stage) -> None:
    places, base, unit = stage.scene.places, stage.horizon, stage.unit
    room = base * 0.8
    fog = "fog" in stage.scene.weather
    deeper = 0.18 if fog else 0.0
    if "heights" in places and not places - {"heights"}:
        _sea_of_clouds(stage)
        return
    if "mountain" in places:
        winter = stage.scene.season == "winter"
        behind, before = _ranges(stage)
        rise = before[1]
        land.paint_mountains(
            stage, behind[0], base, behind[1], behind[2], min(0.9, 0.62 + deeper), snow=0.5 if winter else 0.3
        )
        if fog:
            sky.paint_fog(stage, base - rise * 0.6, base + unit * 0.02, 0.9, "far")
        land.paint_mountains(
            stage, before[0], base, rise, before[2], min(0.8, 0.3 + deeper), snow=0.62 if winter else 0.36
        )
        if fog:
            sky.paint_fog(stage, base - rise * 0.42, base + unit * 0.04, 1.0, "near")
        line = land.paint_hills(stage, "foothills", base, unit * 0.1, 0.6, 0.3 + deeper, land.wood(stage))
        woods.plant_woods(stage, "foothills", line, unit * 0.042, 0.34 + deeper, 90)
    elif "desert" in places:
        land.paint_hills(
            stage, "mesas", base, unit * 0.13, 0.8, 0.7 + deeper * 0.5, (196, 120, 90), octaves=4
        )
        land.paint_dunes(stage, "far dunes", base + unit * 0.02, unit * 0.13, 0.5, 0.42, base + unit * 0.3)
    elif places & {"sea", "beach"} and not places & {"lake", "river", "city", "forest"}:
        _headlands(stage)
    else:
        first = land.wood(stage) if "forest" in places else mix(land.wood(stage), land.grass(stage), 0.3)
        rise = min(unit * 0.2, room)
        land.paint_hills(stage, "far hills", base, rise, 0.7, 0.74 + deeper * 0.5, first, octaves=4)
        if fog:
            sky.paint_fog(stage, base - rise * 0.7, base + unit * 0.03, 0.9, "far")
        line = land.paint_hills(stage, "hills", base, rise * 0.72, 0.6, 0.5 + deeper, first, octaves=4)
        if "forest" in places:
            woods.plant_woods(stage, "hills", line, unit * 0.04, 0.54 + deeper, 110)
            if not places & WATERS:  # the wood itself stands in front of what follows
                return
        tone = mix(first, land.wood(stage), 0.5)
        line = land.paint_hills(stage, "near hills", base, rise * 0.45, 0.55, 0.3 + deeper, tone)
        number = 60 if "forest" in places else 26
        woods.plant_woods(stage, "near hills", line, unit * 0.05, 0.32 + deeper, number)
    if "city" in places:
        skyline.paint_skyline(stage, base)


def _headlands(stage: Stage) -> None:
    rng = stage.stream("headlands")
    unit = stage.unit
    side = 1.0 if rng.random() < 0.5 else -1.0
    for k, depth in enumerate((0.74, 0.56)):
        a, b = rng.random(2).tolist()
        x0 = stage.width * (0.5 - side * (0.5 - 0.1 * k) + side * 0.1 * a)
        length = unit * (0.62 - 0.22 * k + 0.2 * b)
        knots = rng.random(9).tolist()
        top = [
            (
                x0 + side * length * t / 8,
                stage.horizon - unit * (0.075 - 0.015 * k) * (1 - (t / 8) ** 2) * (0.6 + 0.6 * knots[t]),
            )
            for t in range(9)
        ]
        shape = np.array(
            [
                (x0 - side * unit, stage.horizon - unit * 0.09),
                *top,
                (x0 + side * length * 1.04, stage.horizon + 2),
                (x0 - side * unit, stage.horizon + 2),
            ]
        )
        fill(
            stage.picture,
            [shape],
            stage.mood.far(mix(land.ROCK[stage.scene.season], land.wood(stage), 0.4), depth),
        )


def _sea_of_clouds(stage: Stage) -> None:
    unit, mood = stage.unit, stage.mood
    for k in range(5):
        t = k / 4
        rng = stage.stream(f"cloud sea {k}")
        y = stage.horizon - unit * (0.34 - 0.1 * k)
        scale = unit * (0.05 + 0.035 * k)
        parts: list[Points] = []
        for a, b in rng.random((int(13 * stage.wide), 2)).tolist():
            parts.append(
                oval(
                    stage.width * (a * 1.1 - 0.05),
                    y + scale * (0.4 + 0.7 * b),
                    scale * (0.8 + 0.9 * b),
                    scale * (0.7 + 0.3 * b),
                )
            )
        parts.append(
            np.array(
                [(0, y + scale), (stage.width, y + scale), (stage.width, stage.height), (0, stage.height)],
                dtype=np.float64,
            )
        )
        shift = (0.0, scale * 0.3)
        box = bounds(parts, stage.picture.size)
        mass = coverage(parts, box)
        lay(
            stage.picture,
            mass,
            box,
            mix(mix(mood.cloud, mood.sky[3], 0.8 - 0.7 * t), land.WHITE, 0.15 if not mood.dark else 0.0),
        )
        lay(
            stage.picture,
            np.minimum(mass, coverage([p + shift for p in parts], box)),
            box,
            mix(mood.cloud_shade, mood.sky[3], 0.6 - 0.5 * t),
            0.6,
        )


# With water ---------------------------------------------------------------------------------------------


def _waters(stage: Stage) -> Spots:
    scene, unit, height = stage.scene, stage.unit, stage.height
    weather, places = scene.weather, scene.places
    sea = bool(places & {"sea", "beach"})
    top = stage.horizon
    quay = "city" in places
    if not sea and not quay:
        # The far shore: a strip of land with trees on it, whose foot is the waterline.
        shore = land.paint_hills(
            stage,
            "shore",
            top + unit * 0.008,
            unit * 0.028,
            0.8,
            0.16,
            mix(land.wood(stage), land.grass(stage), 0.4),
        )
        line = land.at_line(shore)
        gap = stage.stream("clearing").random()

        def thick(x: Floats) -> NDArray[np.bool_]:
            return np.abs(x / stage.width - gap) > 0.16

        count = int(44 * stage.wide)
        if scene.season in {"autumn", "spring", "summer"} or "forest" not in places:
            plants.plant_crowns(
                stage,
                "shore crowns",
                line,
                count // 2 if scene.season else count // 4,
                unit * 0.07,
                0.12,
                keep=thick,
            )
        plants.plant_conifers(stage, "shore conifers", line, count, unit * 0.11, 0.12, keep=thick)
    if "fog" in weather:
        sky.paint_fog(stage, top - unit * 0.16, top + unit * 0.02, 1.1, "shore")
    rough = 1.3 if "storm" in weather else 0.75 if sea or weather & {"wind", "rain"} else 0.4
    stands = [s for s in scene.subjects if s.kind not in AFLOAT and s.kind not in BUILT]
    bank = "river" not in places and (
        bool(stands) or "beach" in places or scene.season in {"autumn", "winter"}
    )
    edge = height - (unit * 0.2 if stands or "beach" in places else unit * 0.1) if bank else height
    frozen = scene.season == "winter" and not sea
    mirror = 0.36 if sea else 0.5 if weather & {"rain", "storm"} else 0.86
    bottom = float(height)
    own = water.sea_colour(stage) if sea else None
    if frozen:
        water.paint_water(
            stage, top, bottom, rough=0.12, mirror=0.5, colour=stage.mood.far((206, 226, 240), 0.15)
        )
    else:
        water.paint_water(stage, top, bottom, rough=rough, mirror=mirror, colour=own)
    if sea:
        water.paint_waves(stage, top, bottom, storm="storm" in weather)
    if "river" in places:
        water.paint_river_banks(stage, top)
    surface = "grass"
    if "river" in places:
        edge = top + unit * 0.22
    if bank:
        surface = paint_bank(stage, edge)
    if "fog" in weather:
        sky.paint_fog(stage, top - unit * 0.06, top + unit * 0.2, 0.7, "water")
    return Spots(
        ground=(min(edge + unit * 0.03, height - unit * 0.06), height - unit * 0.05),
        water=(top + unit * 0.03, min(edge, height - unit * 0.08)),
        sky=(height * 0.08, top - unit * 0.12),
        surface=surface,
        shore=True,
    )


def paint_bank(stage: Stage, edge: float) -> str:
    """Paint the near bank of a water, and say what its ground is."""
    scene = stage.scene
    if scene.season == "winter" and "beach" not in scene.places:
        land.paint_ground(stage, "bank", edge, land.GRASS["winter"], roll=0.05)
        return "snow"
    if "city" in scene.places:
        stone = stage.mood.far((124, 122, 134), 0.0)
        x = np.array([0.0, stage.width])
        land.fill_below(
            stage,
            np.full(stage.width // 2 + 2, edge + stage.unit * 0.02),
            mix(stone, (255, 240, 220), 0.12),
            mix(stone, stage.mood.shadow, 0.4),
            stage.height,
        )
        fill(
            stage.picture,
            [
                np.array(
                    [
                        (0, edge + stage.unit * 0.02),
                        (x[1], edge + stage.unit * 0.02),
                        (x[1], edge + stage.unit * 0.034),
                        (0, edge + stage.unit * 0.034),
                    ]
                )
            ],
            mix(stone, (255, 250, 240), 0.3),
            0.7,
        )
        return "road"
    if scene.places & {"beach", "sea"}:
        line = land.hill_line(stage, "bank", edge, stage.unit * 0.05, 0.9, 2)
        x = np.arange(len(line)) * 2.0
        for lift, thick, share in ((-0.022, 0.012, 0.5), (-0.006, 0.01, 0.85)):
            y = line + stage.unit * lift
            fill(
                stage.picture,
                [
                    np.concatenate(
                        (np.stack((x, y), axis=1), np.stack((x, y + stage.unit * thick), axis=1)[::-1])
                    )
                ],
                stage.mood.far(land.WHITE, 0.1),
                share,
            )
        land.paint_ground(stage, "bank", edge, land.SAND, roll=0.05)
        return "sand"
    land.paint_ground(stage, "bank", edge, land.grass(stage), roll=0.05)
    _dress(stage, edge, "bank")
    return "grass"


# Without water ------------------------------------------------------------------------------------------


def _plain(stage: Stage) -> Spots:
    scene, unit, height = stage.scene, stage.unit, stage.height
    top = stage.horizon
    places = scene.places
    if places == {"heights"}:
        return Spots(
            ground=(height * 0.86, height * 0.94),
            water=None,
            sky=(height * 0.14, height * 0.62),
            surface="cloud",
        )
    if "desert" in places:
        land.paint_dunes(stage, "dunes", top + unit * 0.16, unit * 0.17, 0.8, 0.18, height)
        land.paint_dunes(stage, "near dunes", height - unit * 0.05, unit * 0.22, 1.2, 0.0, height)
        return Spots(
            ground=(height - unit * 0.2, height - unit * 0.07),
            water=None,
            sky=(height * 0.08, top - unit * 0.1),
            surface="sand",
        )
    colour = land.grass(stage)
    if "forest" in places:
        woods.paint_deep_forest(stage, top)
    elif "city" not in places:
        mid = top + unit * 0.06
        line = land.paint_hills(
            stage, "meadow", mid, unit * 0.07, 0.8, 0.2, mix(colour, land.WHITE, 0.05), foot=height
        )
        woods.plant_meadow(stage, line)
        if "fog" in scene.weather:
            sky.paint_fog(stage, mid - unit * 0.14, mid + unit * 0.1, 1.0, "meadow")
    edge = top + unit * (0.13 if "city" not in places else 0.03)
    land.paint_ground(stage, "ground", edge, colour, roll=0.045)
    surface = _dress(stage, edge, "ground")
    if "city" not in places:
        woods.plant_side(stage, edge)
    if "fog" in scene.weather:
        sky.paint_fog(stage, edge - unit * 0.12, edge + unit * 0.14, 0.8, "ground")
    return Spots(
        ground=(edge + unit * 0.06, height - unit * 0.06),
        water=None,
        sky=(height * 0.08, top - unit * 0.12),
        surface=surface,
    )


def _dress(stage: Stage, edge: float, name: str) -> str:
    """Put on the ground what the season leaves there; returns what the ground is."""
    scene = stage.scene
    season, colour = scene.season, land.grass(stage)
    high = (stage.height - edge) / stage.unit
    if season == "winter":
        plants.paint_tufts(stage, f"{name} twigs", edge + stage.unit * 0.05, (150, 142, 150), 12)
        return "snow"
    plants.paint_tufts(stage, f"{name} tufts", edge + stage.unit * 0.015, colour, 260 * high)
    if season == "autumn":
        plants.paint_petals(
            stage, f"{name} leaves", edge + stage.unit * 0.01, land.leaves(stage), 900 * high, size=0.0145
        )
    elif season == "spring":
        plants.paint_petals(
            stage,
            f"{name} petals",
            edge + stage.unit * 0.02,
            ((250, 214, 226), (255, 250, 240), (250, 226, 120)),
            300 * high,
            size=0.008,
        )
    flower = next((subject for subject in scene.subjects if subject.kind == "flower"), None)
    if flower is not None:
        hue: RGB = flower.colours[0] if flower.colours else (236, 92, 120)
        plants.paint_blooms(stage, f"{name} blooms", edge + stage.unit * 0.02, hue, 330 * high)
    return "grass"
