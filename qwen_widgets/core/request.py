"""ImageRequest: what one picture is asked with, frozen, validated and complete; its content key."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import HIGHEST_SEED, LOWEST_SEED, Model, Size


class Order(Protocol):
    """What can be bought: a picture, or an enhanced prompt."""

    @property
    def prompt(self) -> str:
        """The words."""

    @property
    def seed(self) -> int:
        """The seed, -1 where there is none."""

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

    def body(self) -> dict[str, object]:
        """Return the JSON body of the submit."""


@dataclass(frozen=True)
class ImageRequest:
    """What one picture is asked with.

    The seed is always a number that is known here, never the service's own choice, so that
    (model, prompt, size, seed) names a picture and can be asked for again.

    Parameters
    ----------
    prompt : str
        1 to `model.max_prompt` characters, no control characters.
    seed : int
        0 to 2147483647.
    size : Size
        Pixels, each side within the model's limits.
    model : Model

    Raises
    ------
    InputError
        One of them is outside its limits.
    """

    prompt: str
    seed: int
    size: Size
    model: Model

    def __post_init__(self) -> None:
        check_prompt(self.prompt, self.model)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise InputError(f"seed {self.seed!r}: a whole number is needed, 0 to {HIGHEST_SEED}.")
        if not LOWEST_SEED <= self.seed <= HIGHEST_SEED:
            raise InputError(f"seed {self.seed}: it must lie between 0 and {HIGHEST_SEED}.")
        if not self.model.fits(self.size):
            raise InputError(
                f"size {self.size}: each side must lie between {self.model.min_side} and {self.model.max_side} "
                f"pixels for {self.model.name}."
            )

    @cached_property
    def key(self) -> str:
        """The content key: 64 hex digits over everything that decides what the picture is."""
        text = json.dumps({"model": self.model.id, **self.body()}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def inputs(self) -> str:
        """JSON of what it holds beside prompt, size and seed, as the ledger keeps it."""
        return ""

    def body(self) -> dict[str, object]:
        """Return the JSON body of the submit, exactly the inputs that the model's schema names."""
        return {"prompt": self.prompt, "size": self.size.wire, "seed": self.seed}


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
