"""The Prompt Enhancer: what it is asked with, its styles, and a sweep with enhanced prompts in it. No I/O."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from typing import ClassVar

from qwen_widgets.core import reading
from qwen_widgets.core.errors import InputError
from qwen_widgets.core.models import SHELF, Model, Size
from qwen_widgets.core.request import InputPicture
from qwen_widgets.core.syntax_faults import shown

#: The model behind it; it makes text, so it is no picture's model and not among those.
OPTIMIZER = Model(
    id="wavespeed-ai/prompt-optimizer",
    name="prompt-optimizer",
    title="Prompt Enhancer",
    price=Decimal("0.001"),
)
STYLES = ("default", "artistic", "photographic", "technical", "anime", "realistic")
DEFAULT_STYLE = STYLES[0]
BOTH = "both"
#: Characters of a prompt; no model takes near so many.
LONGEST = 10_000
_LONGEST_STYLE = 100
_ADDRESS = re.compile(r"https?://\S+")


def optimizer() -> Model:
    """Return the model behind it, at the price that an account's catalogue has told."""
    price = SHELF.prices.get(OPTIMIZER.id)
    return OPTIMIZER if price is None else replace(OPTIMIZER, price=price)


def makes_text(model_id: str) -> bool:
    """Whether what a model makes is a text and no picture."""
    return model_id == OPTIMIZER.id


def is_address(output: str) -> bool:
    """Whether an output is no text but the address of one."""
    return _ADDRESS.fullmatch(output.strip()) is not None


@dataclass(frozen=True)
class TextRequest:
    """What one enhanced prompt is asked with.

    Beside `ImageRequest` so that a text is bought with the very guarantees of a picture: it has the same attributes,
    no seed, no input pictures, and the size 0 × 0.

    Parameters
    ----------
    prompt : str
        The prompt as it is; not empty, at most 10,000 characters.
    style : str
        One of `STYLES`.

    Raises
    ------
    InputError
    """

    prompt: str
    style: str = DEFAULT_STYLE

    seed = None
    images: ClassVar[tuple[InputPicture, ...]] = ()
    size = Size(0, 0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompt", reading.text("prompt", self.prompt))
        object.__setattr__(self, "style", check_style(self.style))
        if not self.prompt.strip():
            raise InputError("enhance: give a prompt that is not empty.")
        if len(self.prompt) > LONGEST:
            raise InputError(
                f"enhance: {len(self.prompt):,} characters, and at most {LONGEST:,} are asked about."
            )

    @property
    def model(self) -> Model:
        """Who is asked."""
        return optimizer()

    @cached_property
    def key(self) -> str:
        """The content key, over the text and the style: the same words again are never asked for twice."""
        text = json.dumps({"model": self.model.id, **self.body()}, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()

    @property
    def inputs(self) -> str:
        """What it holds beside the prompt, as the ledger keeps it."""
        return json.dumps({"style": self.style})

    @classmethod
    def remembered(cls, prompt: str, inputs: str) -> TextRequest:
        """Return the request of a row of the ledger."""
        return cls(prompt, json.loads(inputs or "{}").get("style", DEFAULT_STYLE))

    def body(self, addresses: Sequence[str] = ()) -> dict[str, object]:  # noqa: ARG002  (as `Order` has it)
        """Return the JSON body of the submit."""
        return {"text": self.prompt, "mode": "image", "style": self.style}


def check_style(style: object) -> str:
    """Return the style, or raise InputError with the nearest one."""
    style = reading.text("style", style, f"it is one of {', '.join(STYLES)}", longest=_LONGEST_STYLE)
    if style not in STYLES:
        near = difflib.get_close_matches(style.lower(), (*STYLES, BOTH), n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"it is {', '.join(STYLES)}, or both:STYLE."
        raise InputError(f"enhance {shown(style)}: there is no such style; {hint}")
    return style


@dataclass(frozen=True, slots=True)
class Wish:
    """How a run's prompts are to be enhanced: in which style, and whether the originals stay beside them."""

    style: str = DEFAULT_STYLE
    both: bool = False


@reading.guarded
def read_wish(name: str, value: object) -> Wish | None:
    """Read ``True``, ``"anime"``, ``"both"`` or ``"both:anime"``; None for no enhancing.

    Raises
    ------
    InputError
    """
    if value is None or value is False:
        return None
    if value is True:
        return Wish()
    if isinstance(value, Wish):
        return Wish(check_style(value.style), reading.flag(name, value.both))
    wanted = f"give True, a style such as {STYLES[1]}, or both"
    asked = reading.text(name, value, wanted, longest=_LONGEST_STYLE).strip().lower()
    first, colon, second = (part.strip() for part in asked.partition(":"))
    if first == BOTH:
        return Wish(check_style(second if colon else DEFAULT_STYLE), both=True)
    return Wish(check_style(asked or DEFAULT_STYLE))
