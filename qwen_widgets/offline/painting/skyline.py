"""The skyline of a city: three rows of towers, and their windows."""

from __future__ import annotations

import numpy as np

from qwen_widgets.offline.painting import plants
from qwen_widgets.offline.painting.brush import (
    RGB,
    Points,
    fill,
    glow,
    mix,
)
from qwen_widgets.offline.painting.stage import Stage


def paint_skyline(stage: Stage, base: float) -> None:
    """Paint the towers of a city in three rows, with windows that are lit when it is dark."""
    unit, mood = stage.unit, stage.mood
    night = mood.dark
    for k, (depth, high, wide) in enumerate(((0.62, 0.5, 0.075), (0.36, 0.38, 0.085), (0.1, 0.22, 0.11))):
        rng = stage.stream(f"skyline {k}")
        colour = mood.far(((128, 140, 164), (104, 114, 142), (76, 84, 112))[k], depth)
        towers: list[Points] = []
        shades: list[Points] = []
        panes: list[Points] = []
        x = -unit * wide * float(rng.random())
        # More towers towards a centre that the seed chooses.
        centre = stage.width * (0.3 + 0.4 * float(stage.stream("downtown").random()))
        while x < stage.width:
            a, b, c, d = rng.random(4).tolist()
            w = unit * wide * (0.6 + 0.7 * a)
            near = 1.0 / (1.0 + ((x + w / 2 - centre) / (unit * 0.45)) ** 2)
            h = min(unit * high * (0.2 + 0.38 * b + 0.62 * near * (0.35 + 0.65 * c)), base * 0.86)
            top = base - h
            towers.append(np.array([(x, base + 2), (x, top), (x + w, top), (x + w, base + 2)]))
            if d > 0.72:
                towers.append(
                    np.array(
                        [
                            (x + w * 0.2, top + 1),
                            (x + w * 0.2, top - h * 0.07),
                            (x + w * 0.8, top - h * 0.07),
                            (x + w * 0.8, top + 1),
                        ]
                    )
                )
                towers.append(
                    np.array(
                        [
                            (x + w * 0.48, top),
                            (x + w * 0.49, top - h * 0.24),
                            (x + w * 0.51, top - h * 0.24),
                            (x + w * 0.52, top),
                        ]
                    )
                )
            elif d > 0.55:
                towers.append(np.array([(x, top + 1), (x + w * 0.5, top - w * 0.5), (x + w, top + 1)]))
            side = w * 0.34
            shades.append(
                np.array([(x + w - side, base + 2), (x + w - side, top), (x + w, top), (x + w, base + 2)])
                if stage.sun[0] < x
                else np.array([(x, base + 2), (x, top), (x + side, top), (x + side, base + 2)])
            )
            across, down = max(2, int(w / (unit * 0.027))), max(3, int(h / (unit * 0.027)))
            lit_share = ((0.16, 0.3, 0.2) if night else (0.3, 0.5, 0.5))[k]
            pw, ph = w / (across * 1.9 + 0.9), h / (down * 1.8)
            numbers = rng.random((down, across))
            rows_, columns_ = np.nonzero(numbers < lit_share)
            px, py = x + pw * (0.9 + columns_ * 1.9), top + ph * (0.9 + rows_ * 1.8)
            corners = ((px, py), (px + pw, py), (px + pw, py + ph * 0.85), (px, py + ph * 0.85))
            boxes = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
            if len(boxes):
                panes.append(boxes)
            x += w * (1.0 + 0.12 * (c - 0.3))
        fill(stage.picture, towers, colour)
        fill(stage.picture, shades, mix(mood.shadow, mood.haze, depth), 0.26)
        glass: tuple[RGB, RGB] = (
            ((255, 214, 128), (170, 214, 250))
            if night
            else (mix(colour, mood.sky[1], 0.5), mix(colour, mood.halo, 0.6))
        )
        seen = [mix(tone, mood.haze if night else colour, depth * 0.7 if night else 0.4) for tone in glass]
        plants.fill_motley(stage, f"panes {k}", panes, [seen[0], seen[0], seen[0], seen[1]])
    if night:
        glow(stage.picture, (stage.width * 0.5, base), unit * 0.9, (255, 170, 110), 0.28)
