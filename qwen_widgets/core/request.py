"""ImageRequest: what one picture is asked with, frozen, validated and complete; its content key."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import InitVar, asdict, dataclass, field
from functools import cached_property
from typing import Any, Protocol

from qwen_widgets.core import reading
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.model_schema import Extra, check_body, single_picture
from qwen_widgets.core.models import HIGHEST_SEED, LOWEST_SEED, SHELF, Model, Size, find_model
from qwen_widgets.core.reading import guarded, wrong
from qwen_widgets.core.syntax_faults import shown

#: How a source begins that names a kept input picture by its hash.
KEPT = "kept:"
#: Pictures of one request: more than any model takes.
MOST_PICTURES = 100
#: Bounds of what is kept as a number at all, and of further inputs.
_LARGEST, _MOST_EXTRA = 2**63 - 1, 1000


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """The cell that an input picture was: where it stood, and what it was made with.

    Attributes
    ----------
    key : str
        Content key of its request.
    run_id : str
        The run of its grid; `row` and `column` are its place there.
    model : str
        Full id.
    """

    key: str
    run_id: str
    row: int
    column: int
    prompt: str
    seed: int | None
    model: str


@dataclass(frozen=True, slots=True)
class InputPicture:
    """A picture that a request is made with, known by its bytes.

    Attributes
    ----------
    sha256 : str
        Of the bytes that are sent, hex.
    width, height : int
        Pixels.
    suffix : str
        ``.png``, ``.jpg`` or ``.webp``, by the bytes.
    source : str
        How to name it again in a cell's ``-i``: a path, an address, a run's cell, a kept picture.
    made_from : MadeFrom or None
        The cell that it was, where it was one.
    flagged : bool
        Whether moderation has marked that cell's picture.
    """

    sha256: str
    width: int
    height: int
    suffix: str
    source: str = field(default="", compare=False)
    made_from: MadeFrom | None = field(default=None, compare=False)
    flagged: bool = field(default=False, compare=False)

    @property
    def size(self) -> Size:
        """Pixels, width × height."""
        return Size(self.width, self.height)

    @property
    def name(self) -> str:
        """What a message calls it: its source, or the beginning of its hash."""
        return repr(self.source) if self.source else f"picture {self.sha256[:8]}"

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON's types."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> InputPicture:
        """Return the picture of such values; what a later version has added is left out."""
        made = values.get("made_from")
        known = {name: values[name] for name in ("sha256", "width", "height", "suffix")}
        origin = None if made is None else MadeFrom(**{name: made[name] for name in MadeFrom.__slots__})
        flagged = values.get("flagged") is True
        return cls(**known, source=values.get("source", ""), made_from=origin, flagged=flagged)


class Order(Protocol):
    """What can be bought: a picture, or an enhanced prompt."""

    @property
    def prompt(self) -> str:
        """The words."""

    @property
    def seed(self) -> int | None:
        """The seed, None where there is none."""

    @property
    def size(self) -> Size:
        """Pixels, 0 × 0 where there is none."""

    @property
    def model(self) -> Model:
        """Who is to make it."""

    @property
    def inputs(self) -> str:
        """JSON of what it holds beside prompt, size and seed; empty where there is nothing."""

    @property
    def key(self) -> str:
        """The content key: equal keys are one purchase."""

    @property
    def images(self) -> tuple[InputPicture, ...]:
        """The input pictures."""

    def body(self, addresses: Sequence[str] = ()) -> dict[str, object]:
        """Return the JSON body of the submit, with the addresses of its input pictures."""


@dataclass(frozen=True)
class ImageRequest:
    """What one picture is asked with.

    The seed is always a number that is known here, never the service's own choice, so that
    (model, prompt, size, seed) names a picture and can be asked for again. A model that takes no seed has none.

    Parameters
    ----------
    prompt : str
        1 to `model.max_prompt` characters, no control characters.
    seed : int or None
        0 to 2147483647; None for a model that takes none, and only for it.
    size : Size
        Pixels, within the model's limits. A model that takes no size makes what it makes: there it is the size of
        the first input picture, for the shape of its place in a grid, and isn't sent.
    model : Model
    images : tuple of InputPicture
        As many as the model takes, each within its limits.
    output_format : str
        One of the model's formats; empty is the first of them, which is empty itself where a catalogue has the choice.
    extra : tuple of (name, value)
        Further inputs of a model that is not built in.
    check : bool
        False for what the ledger remembers: the limits may have been others when it was asked.

    Raises
    ------
    InputError
        One of them is outside its limits.
    """

    prompt: str
    seed: int | None
    size: Size
    model: Model
    images: tuple[InputPicture, ...] = ()
    output_format: str = ""
    extra: Extra = ()
    check: InitVar[bool] = True

    def __post_init__(self, check: bool) -> None:
        for name, read in _READERS.items():
            object.__setattr__(self, name, read(name, getattr(self, name)))
        if not self.output_format and self.model.formats:
            object.__setattr__(self, "output_format", self.model.formats[0])
        if not reading.flag("check", check):
            return
        check_prompt(self.prompt, self.model)
        self._check_seed()
        check_images(self.images, self.model)
        if self.model.takes_size and not self.model.fits(self.size):
            raise InputError(f"size {self.size}: {self.model.name} takes {self.model.limits}.")
        if self.output_format not in (self.model.formats or ("",)):
            raise InputError(f"format {shown(self.output_format)}: {formats_text(self.model)}.")
        if self.extra and not self.model.schema:
            raise InputError(f"input {self.extra[0][0]}: {self.model.name} takes no further inputs.")
        if self.model.schema:
            check_body(self.model.schema, self.body(["https://…"] * len(self.images)), self.model.name)

    def _check_seed(self) -> None:
        if not self.model.takes_seed:
            if self.seed is not None:
                raise InputError(f"seed {self.seed!r}: {self.model.name} takes no seed.")
            return
        if self.seed is None:
            raise InputError(f"seed None: a whole number is needed, 0 to {HIGHEST_SEED}.")
        if not LOWEST_SEED <= self.seed <= HIGHEST_SEED:
            raise InputError(f"seed {self.seed}: it must lie between 0 and {HIGHEST_SEED}.")

    @cached_property
    def key(self) -> str:
        """The content key: 64 hex digits over everything that decides what the picture is.

        What a request doesn't have is left out, so that the keys of earlier versions stay as they were; it depends on
        nothing that a catalogue could change about the model: a format is in it that was named, or that is built in.
        """
        values: dict[str, object] = {
            "model": self.model.id,
            "prompt": self.prompt,
            "size": self.size.wire,
        }
        if self.seed is not None:
            values["seed"] = self.seed
        if self.images:
            values["images"] = [picture.sha256 for picture in self.images]
        if self.output_format:
            values["output_format"] = self.output_format
        if self.extra:
            values["extra"] = dict(self.extra)
        text = json.dumps(values, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def inputs(self) -> str:
        """JSON of what it holds beside prompt, size and seed, as the ledger keeps it; empty where that is nothing."""
        values: dict[str, object] = {}
        if self.images:
            values["images"] = [picture.to_json() for picture in self.images]
        if self.output_format:
            values["output_format"] = self.output_format
        if self.extra:
            values["extra"] = dict(self.extra)
        return json.dumps(values) if values else ""

    def body(self, addresses: Sequence[str] = ()) -> dict[str, object]:
        """Return the JSON body of the submit: inputs that the model's schema names, and no others.

        Parameters
        ----------
        addresses : sequence of str
            Where the service finds the input pictures, in their order.
        """
        addresses = [
            reading.text("addresses", one)
            for one in reading.items("addresses", addresses, "give a list of addresses", most=MOST_PICTURES)
        ]
        values: dict[str, object] = {
            "prompt": self.prompt,
            "size": self.model.write_size(self.size),
            "seed": self.seed,
            "output_format": self.output_format or self._needed_format(),
            "images": addresses,
            "image": next(iter(addresses), ""),
        }
        # What is empty is an input that may be left out, or one that the model's schema will miss.
        filled = {name: values[name] for name in self.model.inputs if values.get(name) not in (None, "", [])}
        return filled | single_picture(self.model.schema) | dict(self.extra)

    def _needed_format(self) -> str:
        """Return the format to send where nobody named one and it can't be left out; empty where it can."""
        needed = any(one.required for one in self.model.schema if one.name == "output_format")
        return next(filter(None, self.model.formats), "") if needed else ""


@guarded
def read_size(name: str, value: object) -> Size:
    """Read the size of a request: width and height, pixels."""
    wanted = "give width and height in pixels"
    sides = reading.items(name, value, wanted, most=2)
    if len(sides) != 2:
        raise wrong(name, value, wanted)
    width, height = (reading.whole(name, side, least=0, most=_LARGEST, wanted=wanted) for side in sides)
    return Size(width, height)


def read_pictures(name: str, value: object) -> tuple[InputPicture, ...]:
    """Read input pictures that were checked and kept."""
    wanted = "give a tuple of InputPicture"
    found = reading.items(name, value, wanted, most=MOST_PICTURES)
    return tuple(reading.instance(name, one, InputPicture, wanted) for one in found)


def _read_model(name: str, value: object) -> Model:
    return value if type(value) is Model else find_model(reading.text(name, value, "give its name"))


@guarded
def _read_seed(name: str, value: object) -> int | None:
    wanted = f"give a whole number from {LOWEST_SEED} to {HIGHEST_SEED}"
    return (
        None if value is None else reading.whole(name, value, least=-_LARGEST, most=_LARGEST, wanted=wanted)
    )


@guarded
def _read_extra(name: str, value: object) -> Extra:
    wanted = "give pairs of a name and a value"
    pairs = [
        reading.items(name, one, wanted, most=2)
        for one in reading.items(name, value, wanted, most=_MOST_EXTRA)
    ]
    if any(len(pair) != 2 for pair in pairs):
        raise wrong(name, value, wanted)
    return tuple((reading.text(name, key), reading.scalar(name, one)) for key, one in pairs)


#: What a request holds, and how it is read.
_READERS: dict[str, Callable[[str, object], object]] = {
    "prompt": reading.text,
    "seed": _read_seed,
    "size": read_size,
    "model": _read_model,
    "images": read_pictures,
    "output_format": reading.text,
    "extra": _read_extra,
}


def check_prompt(prompt: str, model: Model) -> None:
    """Raise InputError where a prompt is empty, too long for the model, or holds control characters."""
    if not prompt.strip():
        raise InputError("prompt: it is empty; write what the picture should show.")
    for place, character in enumerate(prompt, 1):
        if unicodedata.category(character) in ("Cc", "Cs"):
            raise InputError(
                f"prompt: character {place} is a control character (U+{ord(character):04X}); remove it."
            )
    if len(prompt) > model.max_prompt:
        raise InputError(
            f"prompt: {len(prompt)} characters, and {model.name} takes at most {model.max_prompt}; "
            f"shorten {prompt[:30]!r}…"
        )


def check_images(images: Sequence[InputPicture], model: Model) -> None:
    """Raise InputError where a model takes no pictures, needs one, takes fewer, or others."""
    check_image_count(len(images), model)
    for picture in images:
        check_image_size(picture.size, model, picture.name)


def check_image_size(size: Size, model: Model, name: str) -> None:
    """Raise InputError where a model doesn't take a picture of this size."""
    if not model.takes_picture(size):
        raise InputError(
            f"image {name}: it is {size}, and {model.name} takes pictures with sides of "
            f"{model.min_image_side} to {model.max_image_side} pixels; --fit scales it (fit=True in Python)."
        )


def check_image_count(images: int, model: Model) -> None:
    """Raise InputError where a model takes no pictures, needs one, or takes fewer."""
    if images and not model.takes_images:
        editing = SHELF.find(f"{model.name}-edit")
        hint = f"; {editing.name} takes pictures" if editing is not None else ""
        raise InputError(f"images: {model.name} makes pictures of words alone{hint}.")
    if images < model.min_images:
        making = SHELF.find(model.name.removesuffix("-edit"))
        hint = (
            f", or use {making.name}, which makes one of words"
            if making is not None and not making.min_images
            else ""
        )
        raise InputError(f"images: {model.name} edits a picture; give one with -i (images= in Python){hint}.")
    if images > model.max_images:
        raise InputError(f"images: {images} were given, and {model.name} takes at most {model.max_images}.")


def formats_text(model: Model) -> str:
    """Say which formats a model has to choose from."""
    if not model.formats:
        return f"{model.name} has no choice of format"
    *others, last = filter(None, model.formats)
    return f"{model.name} makes {', '.join(others)}{' or ' if others else ''}{last}"
