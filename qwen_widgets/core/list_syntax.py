"""Lists that people type: seeds ``1-4, random*2`` and sizes ``16:9, 1280x720``."""

from __future__ import annotations

import math
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import DEFAULT_MODEL, HIGHEST_SEED, LOWEST_SEED, Model, Size
from qwen_widgets.core.syntax_faults import MANY, amount, check_length, fault, shown, to_number

#: How many values one text may stand for, unless the caller raises it.
DEFAULT_CAP = 1000

_DASHES = "-‐‑‒–—−"  # what phones and word processors make of a hyphen


@dataclass(frozen=True, slots=True)
class Seeds:
    """The seeds of a text, each once, in the order of the text; `notes` are sentences for the user."""

    values: tuple[int, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a text in pixels, each once, in the order of the text; `notes` are for the user."""

    values: tuple[Size, ...]
    notes: tuple[str, ...] = ()


def draw_seed(lowest: int = LOWEST_SEED, highest: int = HIGHEST_SEED) -> int:
    """Draw one seed, 0 to 2147483647 or within a model's own limits; the state of `random` is left alone."""
    return lowest + secrets.randbelow(highest - lowest + 1)


_LIST_TOKEN = re.compile(r"[0-9]+|random|\.{2,}|\s+|.", re.IGNORECASE | re.DOTALL)
_KINDS = (
    dict.fromkeys(_DASHES, "-") | dict.fromkeys("xX×*", "*") | {kind: kind for kind in "+()[]:"} | {"…": "."}
)


@dataclass(frozen=True, slots=True)
class _Piece:
    """What stands between two commas: its shape (``n-n[n]`` for ``1-10 [5]``), its numbers, its place."""

    shape: str
    numbers: tuple[int, ...]
    span: tuple[int, int]


def _kind(token: str) -> str:
    if token[0] in "0123456789":
        return "n"
    if token.lower() == "random":
        return "r"
    if len(token) > 1:
        return "."
    return _KINDS.get(token, "?")


def _pieces(label: str, text: str, example: str) -> list[_Piece]:
    check_length(label, text)
    pieces: list[_Piece] = []
    held: list[re.Match[str]] = []

    def close() -> None:
        shape = "".join(_kind(token[0]) for token in held)
        digits = tuple(to_number(token[0]) for token in held if _kind(token[0]) == "n")
        pieces.append(_Piece(shape, digits, (held[0].start(), held[-1].end())))
        held.clear()

    for token in _LIST_TOKEN.finditer(text):
        if token[0] == ",":
            if not held:
                raise fault(label, text, token.span(), "has nothing before it")
            close()
        elif not token[0].isspace():
            held.append(token)
    if held:  # a trailing comma is fine
        close()
    if not pieces:
        raise InputError(f"{label}: nothing is given; write for example {example}.")
    return pieces


def repeated_note(what: str, repeated: Iterable[object]) -> tuple[str, ...]:
    """Say what was given more than once, in one sentence; nothing where nothing was."""
    names = list(dict.fromkeys(str(value) for value in repeated))
    if not names:
        return ()
    if len(names) == 1:
        return (f"{what} {names[0]} is given more than once; it is kept once.",)
    some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return (f"{len(names)} {what}s are given more than once ({some}); each is kept once.",)


# --- seeds ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Run:
    """The seeds of one piece, not built yet: ``value // divisor``, or so many that are drawn."""

    values: range
    divisor: int = 1
    drawn: bool = False

    def __iter__(self) -> Iterator[int]:
        return (value // self.divisor for value in self.values)

    def last_two(self) -> list[int]:
        return [value // self.divisor for value in self.values[-2:]]


def parse_seeds(text: str, *, cap: int = DEFAULT_CAP, draw: Callable[[], int] = draw_seed) -> Seeds:
    """Read a list of seeds.

    A list holds numbers, ranges with both ends (``1-4``, ``5-1``), ranges with a step (``1-10 (+3)``; the
    sign has to fit the direction), so many values spread over a range and truncated (``1-10 [5]``),
    ``..`` (goes on from the two numbers before, or by one from a single number; the number behind it is
    included where it lies on the step), ``random*4``, and ``-1`` for ``random``.

    Parameters
    ----------
    text : str
        What was typed.
    cap : int
        How many seeds the text may stand for, duplicates counted.
    draw : callable
        Gives one random seed; it is asked again for a seed that is there already.

    Returns
    -------
    Seeds
        Each 0 to 2147483647, each once, in the order of the text.

    Raises
    ------
    InputError
        Not a list of seeds, a seed out of range, a step that leads nowhere, or more seeds than `cap`.

    Notes
    -----
    Ranges, steps and ``[count]`` are those of the X/Y/Z plot of stable-diffusion-webui
    (``scripts/xyz_grid.py``), ``..`` is SwarmUI's. Truncation is exact, not by floats.
    """
    return read_seeds("seeds", text, cap, draw)


def read_seeds(label: str, text: str, cap: int, draw: Callable[[], int]) -> Seeds:
    """Read seeds as `parse_seeds` does, for a flag or an option that messages call by its name."""
    runs: list[_Run] = []
    recent: list[int] = []
    dots: _Piece | None = None
    total = 0
    for piece in _pieces(label, text, "1-4 or random*2"):
        if piece.shape == ".":
            if dots or not recent:
                raise fault(label, text, piece.span, "needs a number before it, as in 1, 2, .., 6")
            dots = piece
            continue
        run = _continued(label, text, piece, dots, recent) if dots else _run(label, text, piece)
        dots = None
        total += len(run.values)
        if total > cap:
            problem = (
                f"makes it {amount(total)} seeds, and the cap is {cap:,}; ask for fewer or raise the cap"
            )
            raise fault(label, text, piece.span, problem)
        runs.append(run)
        recent = [] if run.drawn else [*recent, *run.last_two()][-2:]
    if dots:
        raise fault(label, text, dots.span, "needs a number after it, as in 1, 2, .., 6")

    written = {seed for run in runs if not run.drawn for seed in run}
    values: dict[int, None] = {}
    repeated = []
    for run in runs:
        for value in run:
            seed = _draw_new(draw, written, values) if run.drawn else value
            if seed in values:
                repeated.append(seed)
            values[seed] = None
    return Seeds(tuple(values), repeated_note("seed", repeated))


def _draw_new(draw: Callable[[], int], *taken: Iterable[int]) -> int:
    for _ in range(100):
        seed = draw()
        if not any(seed in seeds for seeds in taken):
            break
    return seed


def _run(label: str, text: str, piece: _Piece) -> _Run:
    def wrong(problem: str) -> InputError:
        return fault(label, text, piece.span, problem)

    shape, given = piece.shape, piece.numbers
    if shape in ("r", "r*n") or (shape == "-n" and given == (1,)):
        count = given[0] if shape == "r*n" else 1
        if not count:
            raise wrong("asks for no seed; write random*1 or more")
        return _Run(range(count), drawn=True)
    if shape not in ("n", "-n", "n-n", "n-n(n)", "n-n(+n)", "n-n(-n)", "n-n[n]"):
        hint = "; put a comma between seeds" if "nn" in shape else ""
        raise wrong(f"is not a number, a range such as 1-4, or random*2{hint}")
    if shape == "-n" or max(given[:2]) > HIGHEST_SEED:
        raise wrong(f"is out of range; a seed is {LOWEST_SEED} to {HIGHEST_SEED}, or -1 for a random one")

    start, stop = given[0], given[1] if len(given) > 1 else given[0]
    forward = 1 if stop >= start else -1
    if shape == "n-n[n]":
        count = given[2]
        if not count:
            raise wrong("asks for no seed; write [1] or more")
        if count == 1 or start == stop:
            return _Run(range(start, start + 1))
        # int(x) for x in numpy.linspace(start, stop, count), in whole numbers.
        gaps = count - 1
        return _Run(range(start * gaps, stop * gaps + forward, stop - start), divisor=gaps)
    step = forward
    if len(given) == 3:
        step = -given[2] if "(-" in shape else given[2]
        if not step:
            raise wrong("has a step of 0")
        if (stop - start) * step < 0:
            raise wrong(f"has a step in the wrong direction; write ({-step:+d})")
    return _Run(range(start, stop + forward, step))


def _continued(label: str, text: str, piece: _Piece, dots: _Piece, recent: list[int]) -> _Run:
    if piece.shape != "n":
        raise fault(label, text, piece.span, "is not a plain number, and '..' needs one after it")
    stop = _run(label, text, piece).values[0]
    last = recent[-1]
    forward = 1 if stop >= last else -1
    step = last - recent[0] if len(recent) == 2 else forward
    if not step:
        raise fault(label, text, dots.span, f"has a step of 0, from {last} to {last}")
    if (stop - last) * step < 0:
        problem = f"lies in the wrong direction; from {last} the step is {step:+d}"
        raise fault(label, text, piece.span, problem)
    return _Run(range(last + step, stop + (1 if step > 0 else -1), step))


# --- sizes ----------------------------------------------------------------------------------------------

_GRAIN = 16  # pixels; both sides of a computed size are multiples of it
_AREA = 1024 * 1024  # pixels; about one megapixel, where a model's own square preset says nothing else


def parse_sizes(text: str, *, model: Model = DEFAULT_MODEL) -> Sizes:
    """Read a list of sizes.

    A list holds ratios (``16:9``) and pixels (``1280x720``, also with ``*`` and ``×``). A ratio that is not
    a preset is computed by `size_for_ratio`, with a note. Pixels are taken as they are, multiples of 16 or not.

    Parameters
    ----------
    text : str
        What was typed.
    model : Model
        Gives the limits of a side.

    Returns
    -------
    Sizes
        Pixels, each size once, in the order of the text.

    Raises
    ------
    InputError
        Not a list of sizes, or outside the limits; the message names the nearest size that would do.
    """
    return read_sizes("sizes", text, model)


def read_sizes(label: str, text: str, model: Model) -> Sizes:
    """Read sizes as `parse_sizes` does, for a flag or an option that messages call by its name."""
    values: dict[Size, None] = {}
    notes: list[str] = []
    repeated = []
    pieces = _pieces(label, text, "16:9 or 1280x720")
    if len(pieces) > DEFAULT_CAP:
        raise InputError(
            f"{label} {shown(text)}: {len(pieces):,} sizes are given, and the cap is {DEFAULT_CAP:,}."
        )
    for piece in pieces:
        if piece.shape not in ("n:n", "n*n") or not all(0 < number < MANY for number in piece.numbers):
            problem = "is not a size; write a ratio such as 16:9 or pixels such as 1280x720"
            raise fault(label, text, piece.span, problem)
        width, height = piece.numbers
        name = f"{width}:{height}"
        size: Size | None = Size(width, height)
        if piece.shape == "n:n":
            size = model.preset(name)
            if size is None:
                size = _computed_for(width, height, model)
                notes += [f"{name} is {size}, computed because it is not a preset."] if size else []
        if size is None or not model.fits(size):
            raise fault(label, text, piece.span, _outside(width, height, model))
        if size in values:
            repeated.append(size)
        values[size] = None
    return Sizes(tuple(values), (*dict.fromkeys(notes), *repeated_note("size", repeated)))


def size_for_ratio(width: int, height: int, *, model: Model = DEFAULT_MODEL) -> Size:
    """Return the size of a ratio, computed the way the presets are made.

    Both sides are multiples of 16 within the model's limits, and the area is at most that of its square preset
    (1024 × 1024 pixels) and at most an eighth less than the ratio can have there. Among those the truest to
    the ratio is taken, then the largest. For the seven presets this gives the presets.

    Parameters
    ----------
    width, height : int
        The ratio, such as 5 and 4.
    model : Model
        Gives the limits of a side.

    Returns
    -------
    Size
        Pixels.

    Raises
    ------
    InputError
        A side is below 1, or the picture would be too narrow for the limits.
    """
    size = _computed_for(width, height, model) if min(width, height) > 0 else None
    if size is None:
        raise InputError(f"ratio {width}:{height}: it {_outside(width, height, model)}.")
    return size


def _limits(model: Model) -> tuple[int, int]:
    return -(-model.min_side // _GRAIN) * _GRAIN, model.max_side // _GRAIN * _GRAIN


def _rounded(value: Fraction) -> int:
    return math.floor(value / _GRAIN + Fraction(1, 2)) * _GRAIN


def _computed_for(width: int, height: int, model: Model) -> Size | None:
    if model.sizes:
        # Within 2 %, as a size in steps of 16 is.
        alike = (s for s in model.sizes if abs(s.width * height - s.height * width) * 50 <= s.height * width)
        return min(alike, key=lambda size: abs(size.pixels - _AREA), default=None)
    square = model.preset("1:1")
    area = square.pixels if square else max(_AREA, model.min_pixels)
    return _computed(width, height, *_limits(model), model.min_pixels, area)


# By the limits and not by the model: a catalogue can change what is behind its name.
@lru_cache(maxsize=256)
def _computed(width: int, height: int, low: int, high: int, least: int, area: int) -> Size | None:
    if width < height:  # computed lying, so that 4:5 is 5:4 turned
        turned = _computed(height, width, low, high, least, area)
        return turned and Size(turned.height, turned.width)
    if width * low > height * high:
        return None
    reachable = min(area, high * high * height / width)
    candidates = [
        Size(wide, tall)
        for wide in range(low, high + 1, _GRAIN)
        if low <= (tall := (wide * height + _GRAIN // 2 * width) // (_GRAIN * width) * _GRAIN) <= high
        and least <= wide * tall <= area
    ]
    return min(
        candidates,
        key=lambda size: (
            size.width * size.height < reachable * 7 / 8,
            abs(size.width * height / (size.height * width) - 1),
            -size.width * size.height,
        ),
        default=None,
    )


def _outside(width: int, height: int, model: Model) -> str:
    return f"is outside the limits of {model.name}, {model.limits}; the nearest that would do is {_nearest(width, height, model)}"


def _nearest(width: int, height: int, model: Model) -> Size:
    if model.sizes:
        return min(model.sizes, key=lambda size: abs(size.width - width) + abs(size.height - height))
    low, high = _limits(model)
    width, height = max(width, 1), max(height, 1)
    short, long = sorted((width, height))
    least, most = Fraction(low, short), Fraction(high, long)
    if model.min_pixels or model.max_pixels:
        area = width * height
        least = max(least, Fraction(math.sqrt(Fraction(model.min_pixels, area))))
        most = min(most, Fraction(math.sqrt(Fraction(model.max_pixels or high * high, area))))
    # The scale nearest to 1 that brings both sides inside; too narrow for any, it gets as narrow as allowed.
    scale = min(max(Fraction(1), least), most)
    near = Size(*(min(max(_rounded(side * scale), low), high) for side in (width, height)))
    if model.fits(near):
        return near
    # Rounded out of the range of pixels: one grain more or less brings it back.
    grain = _GRAIN if near.pixels < model.min_pixels else -_GRAIN
    moved = Size(*(min(max(side + grain, low), high) for side in near))
    return moved if model.fits(moved) else model.default_size
