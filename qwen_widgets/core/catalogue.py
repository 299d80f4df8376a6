"""The live catalogue: what an account's list of models says, read leniently and kept short. No I/O.

A thousand models with all their words are megabytes; what is kept of them is the id, the kind, the price, and of those
that make pictures the inputs. Every field of every entry may be missing or of another type: what can't be understood
is left out, and a built-in model keeps what it had.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import Any

from qwen_widgets.core.enhancer import makes_text
from qwen_widgets.core.errors import clean
from qwen_widgets.core.model_schema import FILLED, Input, is_writable
from qwen_widgets.core.models import MODELS, Model, Size, read_size
from qwen_widgets.core.wire_numbers import integer, number, price

_ID = re.compile(r"[A-Za-z0-9][\w.\-]*(?:/[\w.\-]+)+", re.ASCII)
_LONGEST_ID = 200
_LONGEST_TEXT = 200
_MOST_CHOICES = 100
_MOST_INPUTS = 60
#: Limits that no picture has: a schema that says so is mistaken.
_SMALLEST, _LARGEST = 16, 16_384
_LONGEST_PROMPT = 100_000
#: What is taken where a schema of a model that isn't built in is silent.
_USUAL_PROMPT, _USUAL_SIDES, _USUAL_IMAGES = 10_000, (64, 8192), 10


@dataclass(frozen=True, slots=True)
class Entry:
    """One model of the catalogue.

    Attributes
    ----------
    kind : str
        What it makes of what: ``text-to-image``; empty where the catalogue doesn't say.
    price : Decimal or None
        US dollars, None where none is named.
    inputs : tuple of Input
        Empty where they aren't known, or where it makes no pictures.
    """

    id: str
    title: str
    kind: str
    price: Decimal | None
    inputs: tuple[Input, ...] = ()

    @property
    def makes_pictures(self) -> bool:
        """Whether it makes pictures, as far as the catalogue says."""
        return self.kind.endswith("to-image") or (
            not self.kind and any(one.name == "prompt" for one in self.inputs)
        )

    @property
    def usable(self) -> bool:
        """Whether a request can be written for it: it makes pictures of a prompt, and names its price."""
        return self.makes_pictures_of_a_prompt and self.price is not None

    @property
    def makes_pictures_of_a_prompt(self) -> bool:
        """Whether it makes pictures and takes words for them."""
        return self.makes_pictures and any(one.name == "prompt" for one in self.inputs)


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All models of an account.

    Attributes
    ----------
    unread : int
        Entries that could not be understood at all.
    """

    entries: tuple[Entry, ...]
    unread: int = 0

    def to_json(self) -> str:
        """Return it as JSON, as the ledger keeps it."""
        rows = [
            [
                entry.id,
                entry.title,
                entry.kind,
                None if entry.price is None else str(entry.price),
                [_short(one) for one in entry.inputs],
            ]
            for entry in self.entries
        ]
        return json.dumps({"unread": self.unread, "models": rows}, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Catalogue:
        """Return the catalogue of such a text; what an other version has written otherwise is left out."""
        try:
            return cls._from_values(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
            # Damaged: what it said of limits and prices can be read of the account again.
            return cls(())

    @classmethod
    def _from_values(cls, values: Any) -> Catalogue:
        entries = (
            Entry(
                name,
                title,
                kind,
                price(asked),
                tuple(_long(one) for one in inputs),
            )
            for name, title, kind, asked, inputs in values["models"]
        )
        return cls(tuple(entries), values["unread"])

    @property
    def prices(self) -> dict[str, Decimal]:
        """What is to be learned beside the models: the price of an enhanced prompt, and what has none, with 0."""
        return {
            entry.id: entry.price or Decimal(0)
            for entry in self.entries
            if (
                entry.price is not None
                if makes_text(entry.id)
                else entry.makes_pictures_of_a_prompt and not entry.usable
            )
        }

    def models(self) -> list[Model]:
        """Return what is to be learned of it: the built-in models with its limits, and the others that can be used."""
        built_in = {model.id: model for model in MODELS}
        found = []
        for entry in self.entries:
            known = built_in.get(entry.id)
            if known is not None:
                found.append(_updated(known, entry))
            elif entry.usable:
                found.append(_new_model(entry))
        return found


_FIELDS = tuple(one.name for one in fields(Input))
_BARE = Input("")


def _short(one: Input) -> dict[str, Any]:
    values = ((name, getattr(one, name)) for name in _FIELDS)
    return {name: value for name, value in values if value != getattr(_BARE, name)}


def _long(values: Mapping[str, Any]) -> Input:
    known = {name: value for name, value in values.items() if name in _FIELDS}
    known["choices"] = tuple(known.get("choices", ()))
    return Input(**known)


# --- reading ----------------------------------------------------------------------------------------------


def read_catalogue(data: Any) -> Catalogue:
    """Read the `data` of the answer to ``GET /models``; what can't be understood is counted, and never an error."""
    if isinstance(data, dict):
        data = next((data[name] for name in ("models", "items", "data", "list") if name in data), None)
    items = data if isinstance(data, list) else []
    found: dict[str, Entry] = {}
    unread = 0
    for item in items:
        entry = _read_entry(item)
        if entry is None:
            unread += 1
        else:
            found[entry.id] = entry
    return Catalogue(tuple(found.values()), unread)


def _read_entry(item: Any) -> Entry | None:
    if not isinstance(item, dict):
        return None
    names = (item.get(name) for name in ("model_id", "id", "model", "name"))
    model_id = next((name for name in names if isinstance(name, str) and _is_id(name)), None)
    if model_id is None:
        return None
    title = item.get("name")
    kind = item.get("type")
    entry = Entry(
        id=model_id,
        title=clean(title, longest=_LONGEST_TEXT) if isinstance(title, str) and title.strip() else model_id,
        kind=clean(kind, longest=40).lower() if isinstance(kind, str) else "",
        price=price(item.get("base_price", item.get("price"))),
    )
    if entry.kind and not entry.makes_pictures:
        return entry
    whole = replace(entry, inputs=tuple(_read_inputs(_schema(item.get("api_schema")))))
    return whole if whole.makes_pictures else entry


def _is_id(text: str) -> bool:
    return len(text) <= _LONGEST_ID and _ID.fullmatch(text) is not None and ".." not in text


def _schema(api_schema: Any) -> Mapping[str, Any]:
    """Return the request's schema, in either of the shapes in which catalogues hold it; empty where there is none."""
    if not isinstance(api_schema, dict):
        return {}
    runs = api_schema.get("api_schemas")
    for run in runs if isinstance(runs, list) else ():
        if isinstance(run, dict) and isinstance(run.get("request_schema"), dict):
            return dict(run["request_schema"])
    at: Any = api_schema
    for name in ("components", "schemas", "Request"):
        at = at.get(name) if isinstance(at, dict) else None
    return at if isinstance(at, dict) else {}


def _read_inputs(schema: Mapping[str, Any]) -> Iterator[Input]:
    properties = schema.get("properties")
    required = schema.get("required")
    wanted = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    for name, said in list((properties if isinstance(properties, dict) else {}).items())[:_MOST_INPUTS]:
        if not isinstance(said, dict) or not re.fullmatch(r"\w{1,60}", name, re.ASCII):
            continue
        items = said.get("items")
        items = items if isinstance(items, dict) else {}
        kind = said.get("type")
        choices = said.get("enum")
        default = said.get("default")
        yield Input(
            name=name,
            kind=kind if isinstance(kind, str) and kind.isalpha() else "",
            required=name in wanted,
            default=default if _is_small(default) else None,
            choices=tuple(choice for choice in choices if _is_small(choice))
            if isinstance(choices, list) and len(choices) <= _MOST_CHOICES
            else (),
            minimum=_number(said.get("minimum")),
            maximum=_number(said.get("maximum")),
            shortest=_count(said.get("minLength")),
            longest=_count(said.get("maxLength")),
            fewest=_count(said.get("minItems", items.get("minItems"))),
            most=_count(said.get("maxItems", items.get("maxItems"))),
        )


def _is_small(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT and is_writable(value)
    return isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def _number(value: Any) -> float | None:
    return number(value) if isinstance(value, int | float) else None


def _count(value: Any) -> int | None:
    found = integer(value) if isinstance(value, int | float) else None
    return found if found is not None and 0 <= found < 10**9 else None


# --- models -----------------------------------------------------------------------------------------------


def _updated(model: Model, entry: Entry) -> Model:
    """Return a built-in model with the catalogue's price and limits; what the catalogue doesn't say stays."""
    inputs = {one.name: one for one in entry.inputs}
    changes: dict[str, Any] = {} if entry.price is None else {"price": entry.price}
    prompt = inputs.get("prompt")
    if prompt is not None and prompt.longest and prompt.longest <= _LONGEST_PROMPT:
        changes["max_prompt"] = prompt.longest
    if "size" in inputs and (sides := _sides(inputs["size"])):
        changes["min_side"], changes["max_side"] = sides
    if model.max_images and "images" in inputs and (most := inputs["images"].most):
        changes["max_images"] = max(most, model.min_images)
    if model.formats and "output_format" in inputs and (formats := _formats(inputs["output_format"])):
        # The built-in default stays the default: it is part of what names a picture.
        changes["formats"] = tuple(dict.fromkeys((*model.formats[:1], *formats)))
    return replace(model, **changes)


def _new_model(entry: Entry) -> Model:
    inputs = {one.name: one for one in entry.inputs}
    assert entry.price is not None
    sizes = _sizes(inputs["size"]) if "size" in inputs else ()
    sides = (_sides(inputs["size"]) if "size" in inputs else None) or _USUAL_SIDES
    if sizes:
        sides = min(min(size) for size in sizes), max(max(size) for size in sizes)
    # A size by a name (1K) is no size in pixels; it is a further input.
    left_out = {"size"} if "size" in inputs and inputs["size"].choices and not sizes else set()
    left_out |= {"image"} if "images" in inputs else set()
    pictures = inputs.get("images") or inputs.get("image")
    formats = _formats(inputs["output_format"]) if "output_format" in inputs else ()
    most = 0
    if pictures is not None:
        most = (pictures.most or _USUAL_IMAGES) if pictures.name == "images" else 1
    return Model(
        id=entry.id,
        name=entry.id,
        title=entry.title,
        price=entry.price,
        max_prompt=inputs["prompt"].longest or _USUAL_PROMPT,
        min_side=sides[0],
        max_side=sides[1],
        inputs=tuple(name for name in inputs if name in FILLED and name not in left_out),
        min_images=0 if pictures is None else int(pictures.required),
        max_images=most,
        formats=("", *formats) if formats else (),
        sizes=sizes,
        schema=entry.inputs,
    )


def _sides(size: Input) -> tuple[int, int] | None:
    least, most = size.minimum, size.maximum
    if least is None or most is None or not _SMALLEST <= least <= most <= _LARGEST:
        return None
    return int(least), int(most)


def _sizes(size: Input) -> tuple[Size, ...]:
    """Return the sizes of a model that has a choice of them."""
    return tuple(dict.fromkeys(filter(None, map(read_size, size.choices))))


def _formats(one: Input) -> tuple[str, ...]:
    names = [
        choice for choice in one.choices if isinstance(choice, str) and choice in ("png", "jpeg", "webp")
    ]
    if isinstance(one.default, str) and one.default in names:
        names = [one.default, *names]
    return tuple(dict.fromkeys(names))


def changes(before: Iterable[Model], after: Iterable[Model]) -> list[str]:
    """Say what has changed in limits and prices of models that were known before: a line each."""
    now = {model.id: model for model in after}
    lines = []
    for old in before:
        new = now.get(old.id)
        if new is None:
            continue
        said = []
        if new.price != old.price:
            what = "a text" if makes_text(old.id) else "a picture"
            said.append(f"${old.price.normalize():f} → ${new.price.normalize():f} {what}")
        if new.max_prompt != old.max_prompt:
            said.append(f"prompt ≤ {old.max_prompt} → {new.max_prompt} characters")
        if new.limits != old.limits:
            said.append(f"{old.limits} → {new.limits}")
        if new.max_images != old.max_images:
            said.append(f"{old.max_images} → {new.max_images} input pictures")
        if said:
            lines.append(f"{old.name}: {', '.join(said)}")
    return lines
