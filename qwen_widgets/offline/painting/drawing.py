"""A Drawing: the flat shapes of one subject, in units with y upwards, and the inks they are filled with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from qwen_widgets.offline.painting.brush import RGB, Points, mix, oval, poly

WHITE: RGB = (255.0, 255.0, 255.0)
CREAM: RGB = (250.0, 242.0, 228.0)
INK: RGB = (38.0, 34.0, 44.0)


@dataclass(frozen=True, slots=True)
class Inks:
    """The tones of a subject: what it is made of, and the same in shade and in light."""

    body: RGB
    accent: RGB
    #: Whether lamps and windows are lit.
    lamps: bool = False
    #: How the ground looks: subjects with snow on them ask.
    snow: bool = False

    @property
    def shade(self) -> RGB:
        """The body away from the light."""
        return mix((self.body[0] * 0.7, self.body[1] * 0.66, self.body[2] * 0.74), (60, 50, 100), 0.1)

    @property
    def deep(self) -> RGB:
        """The body's folds."""
        return mix((self.body[0] * 0.46, self.body[1] * 0.42, self.body[2] * 0.5), (40, 36, 80), 0.12)

    @property
    def light(self) -> RGB:
        """The body towards the light."""
        return mix(self.body, (255, 246, 220), 0.3)

    @property
    def accent_shade(self) -> RGB:
        """The accent away from the light."""
        return mix((self.accent[0] * 0.74, self.accent[1] * 0.72, self.accent[2] * 0.8), (60, 60, 110), 0.1)

    @property
    def window(self) -> RGB:
        """A window: glass by day, a lamp behind it at night."""
        return (255, 218, 122) if self.lamps else (122, 158, 186)


@dataclass(slots=True)
class Shape:
    """Polygons of one tone; a clipped shape shows only on the last unclipped one. A bright one glows."""

    tone: RGB
    polygons: tuple[Points, ...]
    clipped: bool = False
    bright: bool = False
    opacity: float = 1.0


@dataclass(slots=True)
class Drawing:
    """The shapes of a subject, from the back to the front.

    Attributes
    ----------
    shapes : list of Shape
        In units; (0, 0) is where the subject touches the ground, or the middle of what flies.
    lamps : list of (x, y, radius, colour)
        Lights that shine when it is dark.
    """

    inks: Inks
    rng: np.random.Generator
    shapes: list[Shape] = field(default_factory=list)
    lamps: list[tuple[float, float, float, RGB]] = field(default_factory=list)

    def add(self, tone: RGB, *polygons: Points) -> None:
        """Put shapes in front of the others."""
        self.shapes.append(Shape(tone, polygons))

    def on(self, tone: RGB, *polygons: Points, opacity: float = 1.0) -> None:
        """Put shapes onto the last one that was added, cut to it."""
        self.shapes.append(Shape(tone, polygons, clipped=True, opacity=opacity))

    def shine(self, tone: RGB, *polygons: Points) -> None:
        """Put shapes in front that keep their colour in the dark."""
        self.shapes.append(Shape(tone, polygons, bright=self.inks.lamps))

    def lamp(self, x: float, y: float, radius: float, colour: RGB = (255, 196, 110)) -> None:
        """Let a light shine here when it is dark."""
        if self.inks.lamps:
            self.lamps.append((x, y, radius, colour))


Draw = Callable[[Drawing], None]


@dataclass(frozen=True, slots=True)
class Figure:
    """How a subject is drawn, how big it is, where it belongs and which colours are its own.

    Attributes
    ----------
    draw : callable
        Fills a Drawing.
    size : float
        The height of one of the drawing's units, in parts of the picture's unit.
    stance : str
        ground, water, sky, built (stands far off where there is water) or small (stands on a table).
    body, accent : RGB
        The colours where the prompt gives none.
    """

    draw: Draw
    size: float
    stance: str
    body: RGB
    accent: RGB


def flip(points: Points, about: float = 0.0) -> Points:
    """Mirror points left to right."""
    return points * (-1.0, 1.0) + (2.0 * about, 0.0)


def both(points: Points, about: float = 0.0) -> tuple[Points, Points]:
    """Give a shape and its mirror image."""
    return points, flip(points, about)


def rect(x0: float, y0: float, x1: float, y1: float) -> Points:
    """Give an upright rectangle."""
    return poly((x0, y0), (x0, y1), (x1, y1), (x1, y0))


def faint(tone: RGB, shape: Points, opacity: float) -> Shape:
    """Give a shape that one sees through."""
    return Shape(tone, (shape,), opacity=opacity)


def bright(tone: RGB, shape: Points) -> Shape:
    """Give a shape that keeps its colour in the dark."""
    return Shape(tone, (shape,), bright=True)


def ring(x: float, y: float, r: float, wide: float) -> Points:
    """Give a ring."""
    outer, inner = oval(x, y, r), oval(x, y, r - wide)
    return np.concatenate((outer, outer[:1], inner[:1], inner[::-1]))
