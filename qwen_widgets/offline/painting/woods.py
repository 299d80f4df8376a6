"""Woods: along a ridge, on a meadow, beside a subject, all around; and what drifts down from the trees."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from qwen_widgets.offline.painting import land, plants, sky
from qwen_widgets.offline.painting.brush import (
    Floats,
    fill,
    glow,
    mix,
    stroke,
)
from qwen_widgets.offline.painting.stage import Stage


def plant_woods(stage: Stage, name: str, line: Floats, high: float, depth: float, number: float) -> None:
    """Plant a wood along a ridge: conifers, and leafy trees where their colour tells the season."""
    ground = land.at_line(line)
    count = int(number * stage.wide)
    if stage.scene.season in {"autumn", "spring"}:
        plants.plant_crowns(stage, f"{name} crowns", ground, count // 2, high * 0.9, depth)
        count //= 2
    plants.plant_conifers(stage, f"{name} conifers", ground, count, high, depth)


def plant_meadow(stage: Stage, line: Floats) -> None:
    """Plant a few trees on both sides of a clearing."""
    unit = stage.unit
    ground = land.at_line(line)
    gap = 0.25 + 0.5 * float(stage.stream("clearing").random())

    def sides(x: Floats) -> NDArray[np.bool_]:
        return np.abs(x / stage.width - gap) > 0.2

    plants.plant_conifers(stage, "meadow conifers", ground, int(9 * stage.wide), unit * 0.17, 0.2, keep=sides)
    plants.plant_crowns(stage, "meadow crowns", ground, int(9 * stage.wide), unit * 0.15, 0.18, keep=sides)


def plant_side(stage: Stage, edge: float) -> None:
    """Stand a few near trees on the side that the first subject leaves free."""
    unit, width = stage.unit, stage.width
    subject_left = float(stage.stream("placing").random()) < 0.5
    low, high = (0.74, 1.04) if subject_left else (-0.04, 0.26)
    spread = stage.stream("side").random((2, 2)).tolist()

    def free(x: Floats) -> NDArray[np.bool_]:
        return (x / width > low) & (x / width < high)

    def ground(x: Floats) -> Floats:
        return edge + unit * (0.045 + 0.05 * ((x / width * 7.0) % 1.0))

    if "forest" in stage.scene.places:
        return
    count = int(14 + 5 * spread[0][0])
    if stage.scene.season == "winter":
        plants.plant_conifers(stage, "side conifers", ground, count, unit * 0.44, 0.06, keep=free)
    else:
        plants.plant_conifers(stage, "side conifers", ground, count // 2, unit * 0.38, 0.1, keep=free)
        plants.plant_crowns(stage, "side crowns", ground, count - 4, unit * 0.36, 0.03, keep=free)


def paint_deep_forest(stage: Stage, top: float) -> None:
    """Stand rows of trees behind each other, the near ones as trunks that leave the picture."""
    unit, mood = stage.unit, stage.mood
    for k, (depth, high, number) in enumerate(((0.6, 0.34, 26), (0.42, 0.42, 16), (0.24, 0.5, 10))):
        y = top + unit * (0.03 + 0.05 * k)
        line = land.paint_hills(
            stage,
            f"floor {k}",
            y,
            unit * 0.03,
            0.7,
            depth,
            land.grass(stage),
            foot=stage.height if k == 2 else y + unit * 0.16,
        )
        ground = land.at_line(line)
        plants.plant_conifers(
            stage, f"deep conifers {k}", ground, int(number * stage.wide), unit * high, depth
        )
        if stage.scene.season in {"autumn", "spring", "summer"} or stage.scene.tint("leaves"):
            plants.plant_crowns(
                stage, f"deep crowns {k}", ground, int(number * 0.7 * stage.wide), unit * high * 0.72, depth
            )
        if k == 1:
            glow(
                stage.picture,
                (stage.sun[0], min(stage.sun[1], y - unit * 0.1)),
                unit * 0.42,
                mood.halo,
                0.7 * mood.halo_strength,
            )
        sky.paint_fog(stage, y - unit * 0.2, y + unit * 0.06, 0.55, f"forest {k}")
    if mood.height < 0.6 and not mood.dark:
        sky.paint_shafts(stage, top + unit * 0.2)


def paint_frame(stage: Stage) -> None:
    """Stand two dark trunks at the edges of a forest, in front of everything."""
    unit, mood = stage.unit, stage.mood
    rng = stage.stream("frame")
    bark = mood.far(mix((62, 48, 44), mood.shadow, 0.5), 0.03)
    for side in (0, 1):
        a, b = rng.random(2).tolist()
        x = stage.width * (0.02 + 0.07 * a) if side == 0 else stage.width * (0.98 - 0.07 * a)
        half = unit * (0.022 + 0.02 * b)
        foot = stage.height * 1.02
        trunk = np.array(
            [
                (x - half, -2),
                (x + half, -2),
                (x + half * 1.05, foot * 0.8),
                (x + half * 2.1, foot),
                (x - half * 2.1, foot),
                (x - half * 1.05, foot * 0.8),
            ]
        )
        lean = 1.0 if stage.sun[0] > x else -1.0
        light = np.array(
            [
                (x + lean * half * 0.55, -2),
                (x + lean * half, -2),
                (x + lean * half * 1.05, foot * 0.8),
                (x + lean * half * 1.6, foot),
                (x + lean * half * 0.9, foot * 0.86),
            ]
        )
        out = 1.0 if side == 0 else -1.0
        twigs = []
        for k in range(3):
            y = stage.height * (0.1 + 0.17 * k + 0.08 * a)
            twigs.append(
                stroke(
                    np.array(
                        [
                            (x, y),
                            (x + out * unit * (0.08 + 0.02 * k), y - unit * 0.016),
                            (x + out * unit * (0.13 + 0.03 * k), y - unit * 0.05),
                        ]
                    ),
                    unit * 0.014,
                    unit * 0.003,
                )
            )
        fill(stage.picture, [trunk, *twigs], bark)
        fill(stage.picture, [light], mix(bark, mood.halo, 0.4), 0.6)


def paint_drift(stage: Stage) -> None:
    """Let a few leaves or petals drift through the air."""
    rng = stage.stream("drift")
    unit, hues = stage.unit, land.leaves(stage)
    for k, (a, b, c) in enumerate(rng.random((int(16 * min(stage.wide, 2.0)), 3)).tolist()):
        x, y = a * stage.width, (0.12 + 0.8 * b) * stage.height
        long = unit * (0.006 + 0.007 * c)
        lean = (c * 7.0) % 1.0 - 0.5
        leaf = np.array(
            [
                (x - long, y + lean * long),
                (x, y - long * 0.55),
                (x + long, y - lean * long),
                (x + long * 0.1, y + long * 0.5),
            ]
        )
        fill(stage.picture, [leaf], stage.mood.far(hues[k % len(hues)], 0.0), 0.95)
