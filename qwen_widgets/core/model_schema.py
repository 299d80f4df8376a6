"""Inputs: what a model's schema says of each of its inputs, and whether a value is one of them. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from qwen_widgets.core import reading
from qwen_widgets.core.errors import InputError, clean
from qwen_widgets.core.reading import HALF

#: JSON's words for the types of values, with Python's.
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_SHOWN = 40
#: Bits that a whole number may have; nothing counts further, and Python itself writes none with thousands of digits.
_MOST_BITS = 63
#: Inputs that a request fills by itself.
FILLED = ("prompt", "size", "seed", "images", "image", "output_format")
#: Inputs of some models that would have several pictures paid for where a cell holds one.
_SEVERAL = frozenset(
    {"n", "batch_size", "image_count", "max_images", "num_images", "num_outputs", "num_samples", "number_of_images"}
)  # fmt: skip
#: Inputs that would bring the picture in the very answer, which is too large then to be taken.
_INLINE = frozenset(
    {"base64_output", "enable_base64_output", "enable_sync_mode", "return_base64", "sync_mode"}
)
#: What else can be given to a model that is not built in, by name.
Scalar = str | int | float | bool
Extra = tuple[tuple[str, Scalar], ...]


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a model.

    Attributes
    ----------
    kind : str
        ``string``, ``integer``, ``number``, ``boolean``, ``array``, ``object``; empty where the schema doesn't say, or
        says something that isn't known: then every value is taken.
    required : bool
        Whether it can't be left out.
    default : value of JSON
        None where there is none.
    choices : tuple
        The values that it may have; empty for any.
    minimum, maximum : float or None
        Of a number; of each side of a size, pixels.
    shortest, longest : int or None
        Characters of a text.
    fewest, most : int or None
        Entries of an array.
    """

    name: str
    kind: str = ""
    required: bool = False
    default: Any = None
    choices: tuple[Any, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    shortest: int | None = None
    longest: int | None = None
    fewest: int | None = None
    most: int | None = None

    def check(self, value: object, model: str) -> None:
        """Raise InputError where a value can't be this input's, with what it may be."""
        if self.kind in _TYPES and not self._is_kind(value):
            raise self._wrong(value, f"{model} takes {_article(self.kind)} there.")
        if self.choices and value not in self.choices:
            known = ", ".join(map(str, self.choices[:12]))
            raise self._wrong(
                value, f"{model} takes {known}{' and more' if len(self.choices) > 12 else ''} there."
            )
        if isinstance(value, int | float) and not isinstance(value, bool):
            self._check_number(value, model)
            if self.minimum is not None and value < self.minimum:
                raise self._wrong(value, f"{model} takes at least {self.minimum:g}.")
            if self.maximum is not None and value > self.maximum:
                raise self._wrong(value, f"{model} takes at most {self.maximum:.10g}.")
        if isinstance(value, str):
            self._check_text(value, model)
        if isinstance(value, list):
            if self.fewest is not None and len(value) < self.fewest:
                raise InputError(
                    f"{self.name}: {len(value)} are given, and {model} wants at least {self.fewest}."
                )
            if self.most and len(value) > self.most:
                raise InputError(
                    f"{self.name}: {len(value)} are given, and {model} takes at most {self.most}."
                )

    def _check_number(self, value: float, model: str) -> None:
        """Raise where JSON has no such number; one of thousands of digits can't even be shown."""
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise InputError(f"{self.name}: that number is too large for {model}.")
        if not math.isfinite(value):
            raise self._wrong(value, f"{model} takes a number there that can be written down.")

    def _check_text(self, text: str, model: str) -> None:
        half = HALF.search(text)
        if half is not None:
            raise InputError(
                f"{self.name}: character {half.start() + 1} is half of a pair (U+{ord(half[0]):04X}); remove it."
            )
        # None is longer than nothing: a schema that says so says nothing of it.
        if self.longest and len(text) > self.longest:
            raise InputError(
                f"{self.name}: {len(text)} characters, and {model} takes at most {self.longest}."
            )
        if self.shortest is not None and len(text) < self.shortest:
            raise InputError(
                f"{self.name}: {len(text)} characters, and {model} wants at least {self.shortest}."
            )

    def _is_kind(self, value: object) -> bool:
        if isinstance(value, bool):
            return self.kind == "boolean"
        return isinstance(value, _TYPES[self.kind])

    def _wrong(self, value: object, why: str) -> InputError:
        return InputError(f"{self.name} {clean(repr(value), longest=_SHOWN)}: {why}")

    def read(self, text: str, model: str) -> Any:
        """Return the value that a typed text stands for.

        Raises
        ------
        InputError
            It can't be this input's.
        """
        value: Any = text
        try:
            if self.kind == "integer":
                value = int(text)
            elif self.kind == "number":
                value = float(text)
            elif self.kind == "boolean":
                value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                    text.lower()
                ]
        except (ValueError, KeyError):
            raise self._wrong(text, f"{model} takes {_article(self.kind)} there.") from None
        self.check(value, model)
        return value


def is_writable(text: str) -> bool:
    """Whether a text can be kept and sent: half of a surrogate pair, which JSON can hold, can't."""
    return HALF.search(text) is None


def read_extra(inputs: Sequence[Input], given: Mapping[str, object], model: str) -> Extra:
    """Return further inputs as they are sent, by name; a text is read as what the schema wants there.

    Parameters
    ----------
    inputs : sequence of Input
        Those that can be given.

    Raises
    ------
    InputError
        The model has no input of that name, or it can't have that value.
    """
    known = {one.name: one for one in inputs}
    found: dict[str, Scalar] = {}
    for name, value in given.items():
        if name in FILLED and name not in known:
            raise InputError(f"input {name}: it has an option of its own.")
        if name not in known:
            has = f"it has {', '.join(known)}" if known else "it takes no further inputs"
            raise InputError(f"input {clean(name, longest=_SHOWN)}: {model} has none of that name; {has}.")
        plain = reading.scalar(f"input {name}", value)
        if isinstance(plain, str):
            found[name] = known[name].read(plain, model)
        else:
            if known[name].kind == "integer" and isinstance(plain, float) and plain.is_integer():
                plain = int(plain)
            known[name].check(plain, model)
            found[name] = plain
        wanted = _wanted(known[name])
        if name in _SEVERAL and found[name] != wanted:
            raise InputError(
                f"input {name}: a cell holds one picture, and each would be paid for; more seeds are more pictures."
            )
        if name in _INLINE and found[name] != wanted:
            raise InputError(f"input {name}: a picture is fetched from its address here; leave that out.")
    return tuple(sorted(found.items()))


def single_picture(inputs: Sequence[Input]) -> dict[str, Scalar]:
    """Return what has to be sent so that one picture comes, at an address, where that isn't the model's own default.

    What a schema says of no default can be any: it is sent then, too.
    """
    return {one.name: wanted for one in inputs if (wanted := _wanted(one)) not in (None, one.default)}


def _wanted(one: Input) -> Scalar | None:
    """Return the one value of an input that is taken here, None where it is any."""
    if one.name in _SEVERAL:
        return "1" if one.kind == "string" else 1
    if one.name in _INLINE:
        return "false" if one.kind == "string" else False
    return None


def further_names(inputs: Sequence[Input]) -> list[str]:
    """Return the names of those inputs that there is a choice of values for."""
    return [one.name for one in inputs if _wanted(one) is None]


def check_body(inputs: Sequence[Input], body: Mapping[str, object], model: str) -> None:
    """Hold what would be sent to a schema: names, types, choices, limits, and that nothing is missing.

    Raises
    ------
    InputError
    """
    known = {one.name: one for one in inputs}
    for name, value in body.items():
        if name not in known:
            raise InputError(f"input {name}: {model} has none of that name; it has {', '.join(known)}.")
        if value == _wanted(known[name]):
            _check_single(known[name], value, model)
        known[name].check(value, model)
    for one in inputs:
        if one.required and one.default is None and one.name not in body:
            raise InputError(f"input {one.name}: {model} wants {_one_of(one)}.")


def _one_of(one: Input) -> str:
    """Say what is missing, and how it is given."""
    choices = ", ".join(map(str, one.choices[:12]))
    wanted = f"one of {choices}{' and more' if len(one.choices) > 12 else ''}" if one.choices else "one"
    return f"{wanted}; give it with --input {one.name}=… (inputs= in Python)"


def _check_single(one: Input, value: object, model: str) -> None:
    with suppress(InputError):
        one.check(value, model)
        return
    what = (
        "it makes several pictures at a time, and a cell holds one"
        if one.name in _SEVERAL
        else "it sends its pictures in the very answer, and here they are fetched from an address"
    )
    raise InputError(f"model {model}: {what} ({one.name}); choose another model.")


def _article(kind: str) -> str:
    return {"integer": "a whole number", "array": "a list", "object": "an object", "string": "a text"}.get(
        kind, f"a {kind}"
    )
