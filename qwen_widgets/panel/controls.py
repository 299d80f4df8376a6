"""What a panel's controls hold: traits that check themselves and follow each other. No widgets here."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any as Any_

from traitlets import Any, Bool, Float, Int, Tuple, Unicode, observe, validate

from qwen_widgets.core import arguments, reading, syntax
from qwen_widgets.core.enhancer import DEFAULT_STYLE, check_style
from qwen_widgets.core.errors import InputError, QwenError
from qwen_widgets.core.models import DEFAULT_MODEL, DEFAULT_RATIO, HIGHEST_SEED, PRESETS, Model, Size
from qwen_widgets.core.request import InputPicture
from qwen_widgets.core.sweep import Sweep, drawing, plan_sweep, read_models, seed_range
from qwen_widgets.core.syntax_faults import shown
from qwen_widgets.grid.recipe import write_seeds, write_size
from qwen_widgets.panel.heard import Heard

#: The ratio of a size that is no preset.
CUSTOM = "custom"
MOST_SEEDS = 16
#: Said of a box without a prompt.
NO_PROMPT = "write a prompt first"
_COMMENT = re.compile(r"^[ \t]*#[ \t].*$|^[ \t]*#$", re.MULTILINE)
#: Sides go by so many pixels in the page.
STEP = 16
LONGEST_TITLE = 200
#: Input pictures that any model takes.
MOST_IMAGES = 10
#: What of the panel can be fixed by `locked`, and the controls that show it.
LOCKABLE = {
    "prompt": ("prompt", "style", "suggestion"),
    "title": ("title",),
    "size": ("ratio", "width", "height", "linked"),
    "seeds": ("slider", "seed", "count", "seed_locked"),
    "model": ("model",),
    "images": ("files", "clear"),
}


@reading.guarded
def _one_size(name: str, value: object) -> str:
    return ",".join(arguments.sizes(name, value) or ())


@reading.guarded
def _seeds(name: str, value: object) -> str:
    given = arguments.seeds(name, value)
    if given is None or isinstance(given, str):
        return given or ""
    return ",".join("random" if seed == -1 else str(seed) for seed in given)


def _names(name: str, value: object) -> str:
    return ",".join(str(one) for one in arguments.models(name, value) or ())


def _several(name: str, value: object) -> object:
    given = arguments.models(name, value)
    return (DEFAULT_MODEL.name,) if given is None else given


def _images(name: str, value: object) -> tuple[object, ...]:
    return tuple(arguments.images(name, value))


@reading.guarded
def _locks(name: str, value: object) -> tuple[str, ...]:
    given = (
        [value] if isinstance(value, str) else reading.items(name, value, "give names of controls", most=100)
    )
    return tuple(reading.text(name, one) for one in given)


_count = reading.bounded(-(2**63), 2**63)
#: How each control's value is read, whoever sets it; what it may be is checked behind that.
READERS: dict[str, Callable[[str, object], object]] = {
    "prompt": reading.text,
    "title": reading.title,
    "size": _one_size,
    "ratio": reading.text,
    "width": _count,
    "height": _count,
    "linked": reading.flag,
    "seeds": _seeds,
    "seed": _count,
    "count": _count,
    "seed_locked": reading.flag,
    "model": _names,
    "models": _several,
    "images": _images,
    "fit": reading.flag,
    "style": reading.text,
    "suggestion": reading.text,
    "max_cost": reading.maybe(reading.dollars),
    "locked": _locks,
    "compact": reading.flag,
}


class Controls(Heard):
    """The values of the controls; each can be set and observed, and what can't be is an InputError."""

    prompt = Unicode()
    title = Unicode()
    #: ``16:9``, or pixels as ``1280x720``; `ratio` (a preset or ``custom``), `width` and `height` follow it.
    size = Unicode(DEFAULT_RATIO)
    ratio = Unicode(DEFAULT_RATIO)
    width = Int(PRESETS[DEFAULT_RATIO].width)
    height = Int(PRESETS[DEFAULT_RATIO].height)
    #: Whether `width` and `height` change together.
    linked = Bool(default_value=False)
    #: The seeds of the next run as text, ``5-8``; `seed` is the first of them and `count` how many.
    seeds = Unicode()
    seed = Int()
    count = Int(4)
    #: Whether a run takes the seeds as they are; without, new ones are drawn where these have been run.
    seed_locked = Bool(default_value=True)
    #: Short names, comma-separated; several are run side by side. `models` are the same as a tuple.
    model = Unicode(DEFAULT_MODEL.name)
    models = Any((DEFAULT_MODEL.name,))
    #: What a run edits: paths, https addresses, PIL images, arrays, cells of a grid; and whether they may be scaled.
    images = Tuple()
    fit = Bool(default_value=False)
    #: How the enhancer writes, and what it has written: accepted or dropped, until then it can be edited.
    style = Unicode(DEFAULT_STYLE)
    suggestion = Unicode()
    max_cost = Float(None, allow_none=True)
    locked = Tuple()
    compact = Bool(default_value=False)
    _linked_ratio = 1.0

    def _plain(self, name: str, value: object) -> object:
        read = READERS.get(name)
        return value if read is None else read(name, value)

    # --- what the traits may hold -----------------------------------------------------------------------

    @validate("seed", "count")
    def _check_seed(self, proposal: Any_) -> int:
        name, value = proposal["trait"].name, int(proposal["value"])
        low, high = (0, HIGHEST_SEED) if name == "seed" else (1, MOST_SEEDS)
        if not low <= value <= high:
            raise InputError(f"{name} {value}: it must lie between {low} and {high}.")
        return value

    @validate("seeds")
    def _check_seeds(self, proposal: Any_) -> str:
        values = syntax.parse_seeds(proposal["value"]).values
        if len(values) > MOST_SEEDS:
            raise InputError(f"seeds: {len(values)} are asked for, and a panel takes at most {MOST_SEEDS}.")
        return write_seeds(values)

    @validate("size")
    def _check_size(self, proposal: Any_) -> str:
        values = syntax.parse_sizes(proposal["value"], model=self._sized).values
        if len(values) != 1:
            raise InputError(f"size {shown(proposal['value'])}: a panel takes one size.")
        return write_size(values[0], self._sized)

    @validate("ratio")
    def _check_ratio(self, proposal: Any_) -> str:
        value: str = proposal["value"]
        if value != CUSTOM and value not in PRESETS:
            raise InputError(f"ratio {shown(value)}: it is {', '.join(PRESETS)} or {CUSTOM}.")
        return value

    @validate("width", "height")
    def _check_side(self, proposal: Any_) -> int:
        name, value, model = proposal["trait"].name, proposal["value"], self._sized
        if not model.min_side <= value <= model.max_side:
            raise InputError(
                f"{name} {value}: it must lie between {model.min_side} and {model.max_side} pixels for {model.name}."
            )
        return int(value)

    @validate("model")
    def _check_model(self, proposal: Any_) -> str:
        return ",".join(model.name for model in read_models(proposal["value"]))

    @validate("models")
    def _check_models(self, proposal: Any_) -> tuple[str, ...]:
        return tuple(model.name for model in read_models(proposal["value"]))

    @validate("images")
    def _check_images(self, proposal: Any_) -> tuple[object, ...]:
        if len(proposal["value"]) > MOST_IMAGES:
            raise InputError(
                f"images: {len(proposal['value'])} were given; no model takes more than {MOST_IMAGES}."
            )
        return tuple(proposal["value"])

    @validate("style")
    def _check_style(self, proposal: Any_) -> str:
        return check_style(proposal["value"])

    @validate("title")
    def _check_title(self, proposal: Any_) -> str:
        return " ".join(str(proposal["value"]).split())[:LONGEST_TITLE]

    @validate("locked")
    def _check_locked(self, proposal: Any_) -> tuple[str, ...]:
        for name in proposal["value"]:
            if name not in LOCKABLE:
                raise InputError(f"locked {shown(name)}: it takes {', '.join(LOCKABLE)}.")
        return tuple(proposal["value"])

    # --- traits that follow each other ------------------------------------------------------------------

    @property
    def _models(self) -> tuple[Model, ...]:
        return read_models(self.model)

    @property
    def edits(self) -> bool:
        """Whether the chosen models take pictures."""
        return all(model.takes_images for model in self._models)

    @property
    def _sized(self) -> Model:
        """The model whose limits hold for the size: the first one that takes a size."""
        return next((model for model in self._models if model.takes_size), DEFAULT_MODEL)

    @observe("models")
    def _models_changed(self, _change: object) -> None:
        self.model = ",".join(self.models)

    @observe("model")
    def _model_changed(self, _change: object) -> None:
        self.models = tuple(self.model.split(","))
        try:
            size = self._pixels
        except InputError:
            # Pixels that the new model doesn't take.
            self.size = DEFAULT_RATIO
            size = self._pixels
        with self.hold_trait_notifications():
            self.width, self.height = size

    @observe("size")
    def _size_changed(self, _change: object) -> None:
        size = self._pixels
        with self.hold_trait_notifications():
            if (self.width, self.height) != size:
                self.width, self.height = size
                self.ratio = self._sized.ratio(size) or CUSTOM

    @observe("ratio")
    def _ratio_changed(self, change: Any_) -> None:
        if change["new"] != CUSTOM:
            self.size = change["new"]

    @observe("linked")
    def _linked_changed(self, _change: object) -> None:
        self._linked_ratio = self.width / self.height

    @observe("width", "height")
    def _side_changed(self, change: Any_) -> None:
        width, height = self.width, self.height
        if (width, height) == self._pixels:
            return
        if self.linked:
            model = self._sized
            if change["name"] == "width":
                height = rounded(width / self._linked_ratio, model)
            else:
                width = rounded(height * self._linked_ratio, model)
        try:
            size = self._check_size({"value": f"{width}x{height}"})
        except InputError:
            # Each side for itself will do, and both together won't.
            self.width, self.height = self._pixels
            raise
        self.ratio = CUSTOM
        with self.hold_trait_notifications():
            self.width, self.height = width, height
            self.size = size

    def _show_ratio(self) -> None:
        """Have the ratio say what the size is, where ``custom`` was only looked at."""
        self.ratio = self._sized.ratio(self._pixels) or CUSTOM

    @property
    def _pixels(self) -> Size:
        return syntax.parse_sizes(self.size, model=self._sized).values[0]

    @observe("seeds")
    def _seeds_changed(self, _change: object) -> None:
        values = self._seeds
        with self.hold_trait_notifications():
            self.seed, self.count = values[0], len(values)

    @observe("seed", "count")
    def _seed_changed(self, _change: object) -> None:
        values = self._seeds
        if (self.seed, self.count) != (values[0], len(values)):
            self.seeds = write_seeds(seeds_from(self.seed, self.count))
            # At the top of the range they may be the same as before, which nobody is told of.
            self._seeds_changed(None)

    @property
    def _seeds(self) -> tuple[int, ...]:
        return syntax.parse_seeds(self.seeds).values

    @property
    def _coming(self) -> str:
        """The seeds of the next run."""
        return self.seeds

    def _planned(self) -> Callable[[Sequence[InputPicture]], Sweep]:
        """Return what lays out the controls as they are now, once their pictures are known.

        Raises
        ------
        InputError
            A flag in the prompt asks for what is locked, or for more than the controls can.
        """
        self._check_flags()
        plan = partial(
            plan_sweep, self.prompt, seeds=self._coming, sizes=self._asked_size or None, models=self.model
        )
        return lambda images: plan(images=images)

    def _check_flags(self) -> None:
        if not re.sub(_COMMENT, "", self.prompt).strip():
            raise InputError(NO_PROMPT)
        found = syntax.parse_prompts(self.prompt, model=self._sized).values
        seeds = {seed for prompt in found for seed in prompt.seeds or ()}
        if seeds and "seeds" in self.locked:
            raise InputError("prompt: it asks for seeds of its own (--seed), and the seeds are locked here.")
        if len(seeds) > MOST_SEEDS:
            raise InputError(
                f"prompt: it asks for {len(seeds)} seeds, and a panel takes at most {MOST_SEEDS}."
            )
        if "size" in self.locked and any(prompt.size for prompt in found):
            raise InputError("prompt: it asks for a size of its own (--ar), and the size is locked here.")

    @property
    def _prompts(self) -> list[str]:
        try:
            return [prompt.text for prompt in syntax.parse_prompts(self.prompt, model=self._models[0]).values]
        except QwenError:
            return [self.prompt.strip()]

    def _length(self) -> str:
        """Return the longest prompt's length against the model's limit, and how many prompts there are."""
        most = min(model.max_prompt for model in self._models)
        texts = self._prompts
        return f"{max(map(len, texts), default=0)} / {most}" + (
            f" · {len(texts)} prompts" if len(texts) > 1 else ""
        )

    @property
    def _asked_size(self) -> str:
        """The size as it is asked for; empty where no model takes one."""
        return self.size if any(model.takes_size for model in self._models) else ""


def seeds_from(seed: int, count: int, highest: int = HIGHEST_SEED) -> tuple[int, ...]:
    """Return so many seeds from one on; at the top of the range, those that end there."""
    first = min(seed, highest - count + 1)
    return tuple(range(first, first + count))


def drawn_seeds(models: Collection[Model], count: int) -> tuple[int, ...]:
    """Return so many seeds from a drawn one on, all of which the models take, as far as there are such."""
    return seeds_from(drawing(models)(), count, seed_range(models)[1])


def stepped(side: float) -> int:
    """Return a side in steps of 16 pixels."""
    return round(side / STEP) * STEP


def rounded(side: float, model: Model) -> int:
    """Return a side in steps of 16 pixels, within the model's limits."""
    return max(model.min_side, min(model.max_side, stepped(side)))
