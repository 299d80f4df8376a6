"""The models: id, inputs, sizes, price; what a request may hold."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from qwen_widgets.core.errors import InputError

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
    def ratio(self) -> str | None:
        """The preset of this size (``16:9``), or None."""
        return _RATIO_OF.get(self)


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
    """

    id: str
    name: str
    title: str = field(compare=False)
    price: Decimal = field(compare=False)
    max_prompt: int = field(default=800, compare=False)
    min_side: int = field(default=256, compare=False)
    max_side: int = field(default=1536, compare=False)

    def __str__(self) -> str:
        return self.name

    def fits(self, size: Size) -> bool:
        """Whether both sides lie within the model's limits."""
        return all(self.min_side <= side <= self.max_side for side in size)


#: Ids, limits and prices: the model pages of the service.
MODELS: tuple[Model, ...] = (
    Model(
        id="wavespeed-ai/qwen-image-2.0/text-to-image",
        name="qwen-image-2.0",
        title="Qwen Image 2.0",
        price=Decimal("0.03"),
    ),
    Model(
        id="wavespeed-ai/qwen-image-2.0-pro/text-to-image",
        name="qwen-image-2.0-pro",
        title="Qwen Image 2.0 Pro",
        price=Decimal("0.07"),
    ),
)
DEFAULT_MODEL = MODELS[0]


def find_model(text: str | Model) -> Model:
    """Return the model of a short name or a full id.

    Raises
    ------
    InputError
        No such model; the message names the nearest.
    """
    if isinstance(text, Model):
        return text
    wanted = str(text).strip()
    for model in MODELS:
        if wanted.lower() in (model.name.lower(), model.id.lower()):
            return model
    names = [model.name for model in MODELS]
    near = difflib.get_close_matches(wanted.lower(), names, n=1, cutoff=0.4)
    hint = f"did you mean {near[0]!r}?" if near else f"the models are {', '.join(names)}."
    raise InputError(f"model {wanted!r}: there is no such model; {hint}")
