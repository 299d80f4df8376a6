"""Strays: predictions of the account that this ledger did not ask for, and what their echoed input says. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qwen_widgets.core.answers import Prediction
from qwen_widgets.core.enhancer import TextRequest, makes_text
from qwen_widgets.core.errors import InputError, clean
from qwen_widgets.core.models import HIGHEST_SEED, LOWEST_SEED, SHELF, Size
from qwen_widgets.core.request import ImageRequest, Order
from qwen_widgets.core.wire_numbers import integer

_SIZE = re.compile(r"(\d{1,5})\*(\d{1,5})", re.ASCII)
_LONGEST_PROMPT = 20_000


@dataclass(frozen=True, slots=True)
class Stray:
    """One such prediction.

    Attributes
    ----------
    order : Order or None
        What it was asked with, where its input tells all of it: then it stands for that request from now on.
    prompt, seed, size
        What is known of it otherwise; empty, None and 0 × 0 where nothing is.
    """

    prediction: Prediction
    order: Order | None
    prompt: str
    seed: int | None
    size: Size

    @property
    def known_model(self) -> bool:
        """Whether its model is one whose answers are pictures or texts."""
        return makes_text(self.prediction.model) or SHELF.find(self.prediction.model) is not None


def read_stray(prediction: Prediction) -> Stray:
    """Return what a prediction says of itself; nothing in it has to be there."""
    given = prediction.input or {}
    words = given.get("text") if makes_text(prediction.model) else given.get("prompt")
    prompt = clean(words, longest=_LONGEST_PROMPT) if isinstance(words, str) else ""
    seed = integer(given.get("seed"))
    size = given.get("size")
    match = _SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    return Stray(
        prediction,
        _order(prediction.model, given),
        prompt,
        # -1 let the service draw one, and no answer tells which.
        seed if seed is not None and LOWEST_SEED <= seed <= HIGHEST_SEED else None,
        Size(int(match[1]), int(match[2])) if match else Size(0, 0),
    )


def _order(model_id: str, given: Mapping[str, Any]) -> Order | None:
    try:
        if makes_text(model_id):
            # Without a word on its style it could be any.
            return TextRequest(given["text"], given["style"])
        model = SHELF.find(model_id)
        if model is None or model.takes_images or model.schema:
            return None
        match = _SIZE.fullmatch(given["size"].strip()) if model.takes_size else None
        if match is None:
            return None
        seed = integer(given["seed"]) if model.takes_seed else None
        size = Size(int(match[1]), int(match[2]))
        kind = given["output_format"] if model.formats else ""
        return ImageRequest(given["prompt"], seed, size, model, output_format=kind)
    except (KeyError, TypeError, AttributeError, InputError):
        return None
