"""The models: id, inputs, sizes, price; what a request may hold."""

from __future__ import annotations

import difflib
import math
import re
import threading
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from qwen_widgets.core.errors import InputError, clean
from qwen_widgets.core.forks import in_child
from qwen_widgets.core.model_schema import FILLED, Input

#: Characters of a name that a message shows.
_SHOWN = 100
#: Seeds that the API takes; -1 (its own choice) is never sent, because the answer would not tell it.
LOWEST_SEED = 0
HIGHEST_SEED = 2**31 - 1


class Size(NamedTuple):
    """The size of a picture in pixels, width × height."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}×{self.height}"

    @property
    def wire(self) -> str:
        """The form that the API takes, with an asterisk: ``1280*720``."""
        return f"{self.width}*{self.height}"

    @property
    def pixels(self) -> int:
        """Pixels in all."""
        return self.width * self.height

    @property
    def ratio(self) -> str | None:
        """The preset of this size (``16:9``), or None; `Model.ratio` knows those of every model."""
        return _RATIO_OF.get(self)


_PIXELS = re.compile(r"(\d{2,5})\s*[*xX×]\s*(\d{2,5})", re.ASCII)


def read_size(text: object) -> Size | None:
    """Return the size that a schema's choice stands for (``1024*768``, ``1024x768``), None where it is no pixels."""
    found = _PIXELS.fullmatch(text.strip()) if isinstance(text, str) else None
    return Size(int(found[1]), int(found[2])) if found else None


#: The ratio presets of the model's page, each a fixed size of about one megapixel, both sides multiples of 16.
PRESETS: dict[str, Size] = {
    "1:1": Size(1024, 1024),
    "16:9": Size(1280, 720),
    "9:16": Size(720, 1280),
    "4:3": Size(1152, 864),
    "3:4": Size(864, 1152),
    "3:2": Size(1248, 832),
    "2:3": Size(832, 1248),
}
_RATIO_OF = {size: ratio for ratio, size in PRESETS.items()}
DEFAULT_RATIO = "1:1"
#: Inputs by which a model takes pictures: a list, or a single one.
_PICTURE_INPUTS = ("images", "image")
#: The presets are tried as they are, then doubled and so on, until they are as large as a model wants them.
_SCALES = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Model:
    """One model of the service.

    Attributes
    ----------
    id : str
        The id in the API's path; it contains slashes.
    name : str
        The short name that people type.
    title : str
        The name that people read.
    price : Decimal
        US dollars a picture, the built-in figure.
    max_prompt : int
        Characters that a prompt may have.
    min_side, max_side : int
        Limits of each side, pixels.
    min_pixels, max_pixels : int
        Limits of width × height; 0 where there is none.
    inputs : tuple of str
        The names of its schema that a request fills: exactly these are sent.
    min_images, max_images : int
        How many input pictures it takes; 0 for a model that makes pictures of words alone.
    min_image_side, max_image_side : int
        Limits of each side of an input picture, pixels.
    formats : tuple of str
        What ``output_format`` may be, first what a request has that names none; empty where the model has no such
        input. Of a model that isn't built in that is the empty text, the service's own choice: a catalogue can change
        that, and it would be part of what names a picture.
    sizes : tuple of Size
        The only sizes that it makes; empty where the limits decide.
    schema : tuple of Input
        Every input that the live catalogue names; empty for a built-in model, whose inputs are known.
    """

    id: str
    name: str
    title: str = field(compare=False)
    price: Decimal = field(compare=False)
    max_prompt: int = field(default=800, compare=False)
    min_side: int = field(default=256, compare=False)
    max_side: int = field(default=1536, compare=False)
    min_pixels: int = field(default=0, compare=False)
    max_pixels: int = field(default=0, compare=False)
    inputs: tuple[str, ...] = field(default=("prompt", "size", "seed"), compare=False)
    min_images: int = field(default=0, compare=False)
    max_images: int = field(default=0, compare=False)
    min_image_side: int = field(default=1, compare=False)
    max_image_side: int = field(default=16_384, compare=False)
    formats: tuple[str, ...] = field(default=(), compare=False)
    sizes: tuple[Size, ...] = field(default=(), compare=False)
    schema: tuple[Input, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return self.name

    @property
    def takes_seed(self) -> bool:
        """Whether a seed can be given, so that a picture can be asked for again."""
        return "seed" in self.inputs

    @property
    def seeds(self) -> tuple[int, int]:
        """The least and the largest seed that it takes."""
        said = next((one for one in self.schema if one.name == "seed"), Input("seed"))
        low = LOWEST_SEED if said.minimum is None else max(LOWEST_SEED, math.ceil(said.minimum))
        high = HIGHEST_SEED if said.maximum is None else min(HIGHEST_SEED, math.floor(said.maximum))
        return (low, high) if low <= high else (LOWEST_SEED, HIGHEST_SEED)

    @property
    def takes_size(self) -> bool:
        """Whether a size can be given; a model that takes none makes pictures as large as its first input."""
        return "size" in self.inputs

    @property
    def named_sizes(self) -> tuple[str, ...]:
        """Its sizes, where they are names and no pixels (``1K``); they are given as a further input."""
        said = () if self.takes_size else (one.choices for one in self.schema if one.name == "size")
        return tuple(str(choice) for choices in said for choice in choices)

    @property
    def further(self) -> tuple[Input, ...]:
        """What can be given by name: the inputs that have no option of their own."""
        options = [name for name in FILLED if name != "size" or not self.named_sizes]
        return tuple(one for one in self.schema if one.name not in options)

    def write_size(self, size: Size) -> str:
        """Return a size as it is sent: ``1280*720``, or as the schema's choices write it."""
        choices = next((one.choices for one in self.schema if one.name == "size"), ())
        return next((choice for choice in choices if read_size(choice) == size), size.wire)

    @property
    def takes_images(self) -> bool:
        """Whether input pictures can be given."""
        return self.max_images > 0 and any(name in self.inputs for name in _PICTURE_INPUTS)

    @property
    def limits(self) -> str:
        """What a size may be, in words: ``256 to 1536 pixels a side``."""
        if self.sizes:
            return f"one of {', '.join(map(str, self.sizes[:8]))}{' and more' if len(self.sizes) > 8 else ''}"
        sides = f"{self.min_side} to {self.max_side} pixels a side"
        if not self.min_pixels and not self.max_pixels:
            return sides
        least, most = self.min_pixels or self.min_side**2, self.max_pixels or self.max_side**2
        return f"{sides} and {least:,} to {most:,} in all"

    def fits(self, size: Size) -> bool:
        """Whether both sides, and the pixels in all, lie within the model's limits."""
        if self.sizes:
            return size in self.sizes
        return (
            all(self.min_side <= side <= self.max_side for side in size)
            and size.pixels >= self.min_pixels
            and (not self.max_pixels or size.pixels <= self.max_pixels)
        )

    def takes_picture(self, size: Size) -> bool:
        """Whether an input picture of this size lies within the model's limits."""
        return all(self.min_image_side <= side <= self.max_image_side for side in size)

    def preset(self, ratio: str) -> Size | None:
        """Return the size of a preset for this model (``16:9``); None for any other ratio, or where none fits.

        The page's own sizes, or for a model that wants larger pictures the least multiple that it takes: for
        Seedream 2560×1440 and 2048×2048, which are its documented least and default.
        """
        base = PRESETS.get(ratio)
        if base is None:
            return None
        sizes = (Size(base.width * scale, base.height * scale) for scale in _SCALES)
        return next((size for size in sizes if self.fits(size)), None)

    def ratio(self, size: Size) -> str | None:
        """Return the preset that stands for a size with this model, or None."""
        return _ratio_of(self, size, (self.min_side, self.max_side, self.min_pixels, self.max_pixels))

    @property
    def default_size(self) -> Size:
        """The size of a request that names none; of a choice of sizes the squarest, in whatever order they are listed."""
        square = self.preset(DEFAULT_RATIO)
        if square is None and self.sizes:
            return min(self.sizes, key=_far_from_square)
        return square or Size(self.max_side, self.max_side)


def _far_from_square(size: Size) -> tuple[float, int, Size]:
    return max(size) / min(size), abs(size.pixels - PRESETS[DEFAULT_RATIO].pixels), size


@lru_cache(maxsize=1024)
def _ratio_of(model: Model, size: Size, _limits: tuple[int, ...]) -> str | None:
    # With the limits, because a catalogue can change what is behind a model's name.
    return next((ratio for ratio in PRESETS if model.preset(ratio) == size), None)


#: Ids, inputs, limits and prices: the model pages of the service. Where a page is silent, about the longest prompt of
#: Edit Plus and Seedream and about the sides of their input pictures, the limit of the Qwen 2.0 prompt and none are
#: taken; the live catalogue, where a user has asked for it, may say more.
_QWEN = Model(
    id="wavespeed-ai/qwen-image-2.0/text-to-image",
    name="qwen-image-2.0",
    title="Qwen Image 2.0",
    price=Decimal("0.03"),
)
_QWEN_EDIT = Model(
    id="wavespeed-ai/qwen-image-2.0/edit",
    name="qwen-image-2.0-edit",
    title="Qwen Image 2.0 Edit",
    price=Decimal("0.03"),
    # A size is accepted and not advertised: what it does to a picture is said nowhere, so it is never sent.
    inputs=("prompt", "images", "seed"),
    min_images=1,
    max_images=6,
    min_image_side=384,
    max_image_side=3072,
)
_SEEDREAM = Model(
    id="bytedance/seedream-v5.0-lite",
    name="seedream-5-lite",
    title="Seedream V5.0 Lite",
    price=Decimal("0.035"),
    inputs=("prompt", "size", "output_format"),
    # Its page names pixels in all and no sides; no size that it names has a longer side than 4096.
    min_side=900,
    max_side=4096,
    min_pixels=2560 * 1440,
    max_pixels=4096 * 4096,
    formats=("jpeg", "png"),
)
MODELS: tuple[Model, ...] = (
    _QWEN,
    replace(
        _QWEN,
        id="wavespeed-ai/qwen-image-2.0-pro/text-to-image",
        name="qwen-image-2.0-pro",
        title="Qwen Image 2.0 Pro",
        price=Decimal("0.07"),
    ),
    _QWEN_EDIT,
    replace(
        _QWEN_EDIT,
        id="wavespeed-ai/qwen-image-2.0-pro/edit",
        name="qwen-image-2.0-pro-edit",
        title="Qwen Image 2.0 Pro Edit",
        price=Decimal("0.07"),
    ),
    Model(
        id="wavespeed-ai/qwen-image/edit-plus",
        name="qwen-image-edit-plus",
        title="Qwen Image Edit Plus",
        price=Decimal("0.02"),
        inputs=("prompt", "images", "seed", "output_format"),
        min_images=1,
        max_images=3,
        formats=("jpeg", "png", "webp"),
    ),
    _SEEDREAM,
    replace(
        _SEEDREAM,
        id="bytedance/seedream-v5.0-lite/edit",
        name="seedream-5-lite-edit",
        title="Seedream V5.0 Lite Edit",
        inputs=("prompt", "size", "output_format", "images"),
        min_images=1,
        max_images=10,
    ),
)
DEFAULT_MODEL = MODELS[0]
#: Where pictures are given and no model is named.
DEFAULT_EDIT_MODEL = MODELS[2]


class Shelf:
    """The models that this process knows: the built-in ones, and what an account's live catalogue has taught it.

    A learned model with a built-in one's id takes its place (limits and prices change), the others come behind.
    `learn` replaces what was learned before as a whole, so that a reader sees the old shelf or the new one.
    Safe to call from any thread.
    """

    def __init__(self, built_in: Iterable[Model] = MODELS) -> None:
        self._built_in = {model.id: model for model in built_in}
        self._models: Mapping[str, Model] = MappingProxyType(self._built_in)
        self._lock = threading.Lock()
        in_child(self._renew)
        #: Whose catalogue was learned last, None for nobody's.
        self.source: Hashable = None
        #: Prices of what stands on no shelf, by id, US dollars: of what makes no pictures, and 0 of a model that can't be
        #: used because the list names no price.
        self.prices: Mapping[str, Decimal] = MappingProxyType({})

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def learn(
        self,
        models: Iterable[Model],
        source: Hashable = None,
        *,
        prices: Mapping[str, Decimal] = MappingProxyType({}),
    ) -> None:
        """Take up a catalogue's models and further prices, in place of those of an earlier one."""
        learned = {model.id: model for model in models}
        with self._lock:
            self._models = MappingProxyType(self._built_in | learned)
            self.prices = MappingProxyType(dict(prices))
            self.source = source

    @property
    def models(self) -> tuple[Model, ...]:
        """All of them, the built-in ones first."""
        return tuple(self._models.values())

    def find(self, text: str) -> Model | None:
        """Return the model of a short name or a full id; letters count alike in either case."""
        # By its id first, which old rows hold: a long catalogue is not looked through for each of them.
        if (known := self._models.get(text)) is not None:
            return known
        wanted = text.strip().lower()
        named = (model for model in self._models.values() if wanted in (model.name.lower(), model.id.lower()))
        return next(named, None)


#: The models of this process; `learn` is how a catalogue gets onto it.
SHELF = Shelf()
learn = SHELF.learn


def find_model(text: str | Model) -> Model:
    """Return the model of a short name or a full id.

    Raises
    ------
    InputError
        No such model; the message names the nearest.
    """
    if isinstance(text, Model):
        return text
    wanted = text.strip()
    found = SHELF.find(wanted)
    if found is not None:
        return found
    said = clean(wanted, longest=_SHOWN)
    if any(wanted.lower() == model_id.lower() for model_id, price in SHELF.prices.items() if not price):
        raise InputError(
            f"model {said!r}: the account's list names no price for it, and nothing is bought without one."
        )
    names = [model.name for model in SHELF.models]
    near = difflib.get_close_matches(said.lower(), names, n=1, cutoff=0.4)
    built_in = ", ".join(model.name for model in MODELS)
    hint = f"did you mean {near[0]!r}?" if near else f"the models are {built_in}."
    if "/" in wanted:
        hint += " %qwen models --refresh reads the account's list."
    raise InputError(f"model {said!r}: there is no such model; {hint}")


def remembered_model(model_id: str) -> Model:
    """Return the model that an old row names; one that is no longer known is the bare id, and still can be shown."""
    return SHELF.find(model_id) or Model(id=model_id, name=model_id, title=model_id, price=Decimal(0))
