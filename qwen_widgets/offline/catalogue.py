"""The models that the embedded service offers: their inputs, limits and prices, as the hosted service lists them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from qwen_widgets.core.models import HIGHEST_SEED, Size

Kind = Literal["text-to-image", "image-to-image", "text-to-text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One model of the service, written down apart from the client's own table so that one can be held to the other.

    Attributes
    ----------
    id : str
        The id in the API's path; it contains slashes.
    title : str
        The name that people read.
    kind : str
        What it makes of what.
    price : Decimal
        US dollars a prediction.
    inputs : mapping
        The JSON schema of each input, by its name.
    required : tuple of str
        The inputs that can't be left out.
    accepted : mapping
        Inputs that are taken and not listed.
    sides : tuple of (int, int)
        The limits of each side of `size`, pixels.
    pixels : tuple of (int, int)
        The limits of `size` in pixels in all.
    given : tuple of (int, int)
        The limits of each side of an input picture, pixels.
    """

    id: str
    title: str = ""
    kind: Kind = "text-to-image"
    price: Decimal = Decimal("0.03")
    inputs: Mapping[str, Mapping[str, Any]] = field(hash=False)
    required: tuple[str, ...] = ("prompt",)
    accepted: Mapping[str, Mapping[str, Any]] = field(hash=False, default_factory=dict)
    sides: tuple[int, int] = (1, 99_999)
    pixels: tuple[int, int] = (1, 1 << 34)
    given: tuple[int, int] = (1, 16_384)

    @property
    def text_input(self) -> str:
        """The input that holds the words."""
        return "text" if "text" in self.inputs else "prompt"


def _prompt(longest: int | None = None) -> dict[str, Any]:
    return {"type": "string"} if longest is None else {"type": "string", "maxLength": longest}


def _choice(*names: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(names), "default": names[0]}


def _pictures(most: int) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", "format": "uri"}, "minItems": 1, "maxItems": most}


_SEED = {"type": "integer", "default": -1, "minimum": -1, "maximum": HIGHEST_SEED}
_SIDES = (256, 1536)
_SIZE = {"type": "string", "default": "1024*1024", "minimum": _SIDES[0], "maximum": _SIDES[1]}
# Limits of the product can't be said in a schema; the description does.
_LARGE_SIZE = {
    "type": "string",
    "default": "2048*2048",
    "description": "width*height, 2560*1440 to 4096*4096 pixels in all",
}
_LARGE = (2560 * 1440, 4096 * 4096)


def _qwen(name: str, title: str, price: str) -> tuple[Offer, Offer]:
    """Return a model of the 2.0 family that paints, and the one that edits."""
    paints = Offer(
        id=f"wavespeed-ai/{name}/text-to-image",
        title=title,
        price=Decimal(price),
        inputs={"prompt": _prompt(800), "size": _SIZE, "seed": _SEED},
        sides=_SIDES,
    )
    edits = Offer(
        id=f"wavespeed-ai/{name}/edit",
        title=f"{title} Edit",
        kind="image-to-image",
        price=Decimal(price),
        inputs={"prompt": _prompt(800), "images": _pictures(6), "seed": _SEED},
        required=("prompt", "images"),
        accepted={"size": {"type": "string"}},
        sides=_SIDES,
        given=(384, 3072),
    )
    return paints, edits


_SEEDREAM: dict[str, Mapping[str, Any]] = {
    "prompt": _prompt(),
    "size": _LARGE_SIZE,
    "output_format": _choice("jpeg", "png"),
}

#: Inputs, limits and prices: the model pages of https://wavespeed.ai.
OFFERS: tuple[Offer, ...] = (
    *_qwen("qwen-image-2.0", "Qwen Image 2.0", "0.03"),
    *_qwen("qwen-image-2.0-pro", "Qwen Image 2.0 Pro", "0.07"),
    Offer(
        id="wavespeed-ai/qwen-image/edit-plus",
        title="Qwen Image Edit Plus",
        kind="image-to-image",
        price=Decimal("0.02"),
        inputs={
            "prompt": _prompt(),
            "images": _pictures(3),
            "seed": _SEED,
            "output_format": _choice("jpeg", "png", "webp"),
        },
        required=("prompt", "images"),
    ),
    Offer(
        id="bytedance/seedream-v5.0-lite",
        title="Seedream V5.0 Lite",
        price=Decimal("0.035"),
        inputs=_SEEDREAM,
        pixels=_LARGE,
    ),
    Offer(
        id="bytedance/seedream-v5.0-lite/edit",
        title="Seedream V5.0 Lite Edit",
        kind="image-to-image",
        price=Decimal("0.035"),
        inputs=_SEEDREAM | {"images": _pictures(10)},
        required=("prompt", "images"),
        pixels=_LARGE,
    ),
    Offer(
        id="wavespeed-ai/prompt-optimizer",
        title="Prompt Enhancer",
        kind="text-to-text",
        price=Decimal("0.001"),
        inputs={
            "text": _prompt(),
            "image": {"type": "string", "format": "uri"},
            "mode": _choice("image", "video"),
            "style": _choice("default", "artistic", "photographic", "technical", "anime", "realistic"),
        },
        required=("text",),
    ),
)


def catalogue_entry(offer: Offer, origin: str, path: str) -> dict[str, object]:
    """Return a model in the shape of https://wavespeed.ai/docs/list-models."""
    run = {
        "type": "model_run",
        "method": "POST",
        "server": origin,
        "api_path": f"{path}/{offer.id}",
        "request_schema": {
            "type": "object",
            "properties": {name: dict(schema) for name, schema in offer.inputs.items()},
            "required": list(offer.required),
        },
    }
    return {
        "model_id": offer.id,
        "name": offer.id,
        "description": f"{offer.title or offer.id}, by the embedded service",
        "type": offer.kind,
        "base_price": float(offer.price),
        "api_schema": {"api_schemas": [run]},
    }


def parse_size(text: str) -> Size | None:
    """Return the size that ``width*height`` says, or None where it says none."""
    width, star, height = text.partition("*")
    if not star or not all(
        side.isascii() and side.isdecimal() and len(side) <= 5 for side in (width, height)
    ):
        return None
    return Size(int(width), int(height))
