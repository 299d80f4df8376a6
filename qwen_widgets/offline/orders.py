"""What a submit asks for, checked against the model's inputs as the hosted service checks them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qwen_widgets.core.models import Size
from qwen_widgets.offline.catalogue import Offer, parse_size
from qwen_widgets.offline.wire import RefusedError, text, whole

_DEFAULT_SIZE = "1024*1024"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One checked request.

    Attributes
    ----------
    model : Offer
    prompt : str
        The words, under whatever name the model takes them.
    size : Size or None
        Pixels; None where the input picture decides.
    asked_seed : int or None
        The seed of the request, maybe -1; None where the model takes none.
    images : tuple of str
        Addresses of the input pictures.
    output_format : str
        ``png``, ``jpeg`` or ``webp``.
    input : dict
        The resolved inputs, with the defaults of what was left out.
    ignored : tuple of str
        Names in the request that the model has no use for.
    """

    model: Offer
    prompt: str
    size: Size | None
    asked_seed: int | None
    images: tuple[str, ...]
    output_format: str
    input: Mapping[str, Any]
    ignored: tuple[str, ...]


def read_order(model: Offer, body: Mapping[str, Any]) -> Order:
    """Check the body of a submit.

    Raises
    ------
    RefusedError
        With 400 and the name of the input that is wrong.
    """
    resolved: dict[str, Any] = {}
    for name, schema in {**model.inputs, **model.accepted}.items():
        if name in body:
            resolved[name] = _checked(name, schema, body)
        elif name in model.required:
            raise RefusedError(400, f"{name}: it is required")
        elif "default" in schema:
            resolved[name] = schema["default"]
    prompt = resolved.get(model.text_input, "")
    if model.text_input in model.required and not prompt.strip():
        raise RefusedError(400, f"{model.text_input}: it is required")
    size = _size(model, resolved["size"]) if "size" in resolved else None
    if size is None and model.kind == "text-to-image":
        size = parse_size(_DEFAULT_SIZE)
    images = (*resolved.get("images", ()), *([resolved["image"]] if resolved.get("image") else ()))
    return Order(
        model=model,
        prompt=str(prompt),
        size=size,
        asked_seed=resolved.get("seed"),
        images=tuple(map(str, images)),
        output_format=str(resolved.get("output_format", "png")),
        input=resolved,
        # The hosted service says nothing about a name that it doesn't know; a test may want to.
        ignored=tuple(sorted(body.keys() - resolved.keys())),
    )


def _checked(name: str, schema: Mapping[str, Any], body: Mapping[str, Any]) -> object:
    kind = schema.get("type")
    if kind == "integer":
        lowest, highest = schema.get("minimum", -(2**63)), schema.get("maximum", 2**63)
        return whole(body, name, lowest, highest, default=0)
    if kind == "array":
        return _addresses(name, schema, body[name])
    if kind == "boolean" and not isinstance(body[name], bool):
        raise RefusedError(400, f"{name}: true or false is needed")
    if kind == "number" and (isinstance(body[name], bool) or not isinstance(body[name], int | float)):
        raise RefusedError(400, f"{name}: a number is needed")
    if kind != "string":
        return body[name]
    value = text(body, name)
    longest = schema.get("maxLength")
    if longest is not None and len(value) > longest:
        raise RefusedError(400, f"{name}: {len(value)} characters, at most {longest} are allowed")
    if "enum" in schema and value not in schema["enum"]:
        raise RefusedError(400, f"{name}: it must be one of {', '.join(schema['enum'])}")
    return value


def _addresses(name: str, schema: Mapping[str, Any], value: object) -> list[str]:
    fewest, most = schema.get("minItems", 0), schema.get("maxItems", 1 << 31)
    if not isinstance(value, list) or not all(isinstance(each, str) and each.strip() for each in value):
        raise RefusedError(400, f"{name}: a list of addresses is needed")
    if not fewest <= len(value) <= most:
        raise RefusedError(400, f"{name}: {len(value)} given, {fewest} to {most} are allowed")
    return [text({name: each}, name) for each in value]


def _size(model: Offer, written: str) -> Size:
    size = parse_size(written)
    if size is None or 0 in size:
        raise RefusedError(400, "size: it must be width*height, such as 1024*1024")
    lowest, highest = model.sides
    if not all(lowest <= side <= highest for side in size):
        raise RefusedError(400, f"size: each side must be {lowest} to {highest} pixels")
    fewest, most = model.pixels
    if not fewest <= size.width * size.height <= most:
        raise RefusedError(400, f"size: {written} must be {fewest} to {most} pixels in all")
    return size
