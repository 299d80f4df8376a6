"""Objects that nobody should give to a function and somebody will: of every kind, made afresh each time."""

from __future__ import annotations

import enum
import itertools
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock, Mock

import numpy as np
import pandas as pd
from PIL import Image

from qwen_widgets.core.models import DEFAULT_MODEL, Size


class SpiteError(RuntimeError):
    """What a hostile object raises; it may never be seen."""


def _spite(*_args: object, **_options: object) -> Any:
    raise SpiteError("spite")


class Unshowable:
    """Can't be shown, compared, or asked whether it is true."""

    __repr__ = __str__ = __eq__ = __bool__ = __len__ = __format__ = _spite  # type: ignore[assignment]
    __hash__ = object.__hash__


class Untouchable:
    """Raises at whatever is looked up in it, its class too."""

    def __getattribute__(self, name: str) -> Any:
        raise SpiteError(name)


class Numberish:
    """Says that it is a number, and is none."""

    ndim = 0
    __index__ = __int__ = __float__ = __iter__ = tolist = _spite


class Endless:
    """Says that it is empty, and has no end."""

    def __len__(self) -> int:
        return 0

    def __iter__(self) -> Iterator[int]:
        return itertools.count()


class Text(str):
    """A text that raises where it is asked about itself."""

    __slots__ = ()
    __repr__ = __str__ = __eq__ = __len__ = __format__ = strip = lower = split = _spite  # type: ignore[assignment]
    __hash__ = str.__hash__


class Whole(int):
    """A number that raises where it is shown or compared."""

    __repr__ = __str__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = _spite  # type: ignore[assignment]
    __hash__ = int.__hash__


class PathLike:
    def __init__(self, path: object) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


class Lie:
    """An array that isn't there."""

    shape = (4, 4)
    __array_interface__ = {"shape": (4, 4), "typestr": "|u1", "version": 3, "data": (0, False)}  # noqa: RUF012


class Mapped(Mapping[str, int]):
    __getitem__ = __iter__ = __len__ = _spite


class _NoName(type):
    __name__ = property(_spite)  # type: ignore[assignment]


class Nameless(metaclass=_NoName):
    pass


class Colour(enum.Enum):
    RED = "red"


class Number(enum.IntEnum):
    THREE = 3


def _ring() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    return deep


_MILLION, _RING, _DEEP = list(range(1_000_000)), _ring(), _deep()

#: By name, what makes each.
ODD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "0": lambda: 0,
    "3": lambda: 3,
    "-1": lambda: -1,
    "10**400": lambda: 10**400,
    "10**5000": lambda: 10**5000,
    "1.5": lambda: 1.5,
    "3.0": lambda: 3.0,
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-1e308": lambda: -1e308,
    "1j": lambda: 1j,
    "Decimal 3": lambda: Decimal(3),
    "Decimal NaN": lambda: Decimal("sNaN"),
    "Decimal 1e999999": lambda: Decimal("1e999999"),
    "Fraction": lambda: Fraction(1, 3),
    "empty text": lambda: "",
    "text": lambda: "a red fox",
    "digits": lambda: "１２",
    "NUL": lambda: "a\0b",
    "half a pair": lambda: "a\ud800",
    "long text": lambda: "x" * 200_000,
    "bytes": lambda: b"a red fox",
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: memoryview(b"x"),
    "empty list": list,
    "list of numbers": lambda: [1, 2],
    "list of texts": lambda: ["a red fox", "a blue fox"],
    "list of anything": lambda: ["a", 1, None, b"x", [1]],
    "million": lambda: _MILLION,
    "endless range": lambda: range(10**18),
    "ring": lambda: _RING,
    "deep": lambda: _DEEP,
    "empty tuple": tuple,
    "dict": lambda: {"a": 1, 2: "b"},
    "set": lambda: {1, 2},
    "generator": lambda: (seed for seed in (1, 2)),
    "endless": itertools.count,
    "Endless": Endless,
    "object": object,
    "type": lambda: int,
    "function": lambda: _ring,
    "Ellipsis": lambda: ...,
    "slice": lambda: slice(1),
    "exception": lambda: ValueError("x"),
    "Path": lambda: Path("nowhere/fox.png"),
    "PathLike of bytes": lambda: PathLike(b"x"),
    "PathLike of nothing": lambda: PathLike(None),
    "Enum": lambda: Colour.RED,
    "IntEnum": lambda: Number.THREE,
    "np.int64": lambda: np.int64(3),
    "np.float64": lambda: np.float64(3.0),
    "np.float32": lambda: np.float32(1.5),
    "np.bool": lambda: np.bool_(True),
    "np.str": lambda: np.str_("a red fox"),
    "np.timedelta64": lambda: np.timedelta64(3, "s"),
    "np array": lambda: np.array([1, 2]),
    "np array of texts": lambda: np.array(["a red fox", "a blue fox"]),
    "np array of one": lambda: np.array(3),
    "np picture": lambda: np.zeros((3, 3, 3)),
    "Series": lambda: pd.Series(["a red fox", "a blue fox"]),
    "Series of numbers": lambda: pd.Series([1.5, 2.0]),
    "Series with a gap": lambda: pd.Series(["a red fox", None]),
    "DataFrame": lambda: pd.DataFrame({"prompt": ["a red fox"]}),
    "pd.NA": lambda: pd.NA,
    "Timestamp": lambda: pd.Timestamp("2026-01-01"),
    "PIL image": lambda: Image.new("RGB", (4, 4)),
    "Model": lambda: DEFAULT_MODEL,
    "Size": lambda: Size(256, 256),
    "Mock": Mock,
    "MagicMock": MagicMock,
    "Mock of a text": lambda: Mock(spec=str),
    "Unshowable": Unshowable,
    "Untouchable": Untouchable,
    "Numberish": Numberish,
    "Text": lambda: Text("a red fox"),
    "Whole": lambda: Whole(3),
    "Lie": Lie,
    "Mapped": Mapped,
    "Nameless": Nameless,
    "list of Untouchable": lambda: [Untouchable()],
}
