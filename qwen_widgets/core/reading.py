"""What people give in Python, read: any object of any type becomes a plain value, or one sentence that names it.

Behind these readers there are only Python's own types: a number of numpy is an int or a float, a subclass of str is a
str. Whatever a foreign object does when it is looked at (it raises, it lies about its length, it has no end) is met
here and nowhere else.
"""

from __future__ import annotations

import difflib
import inspect
import math
import operator
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from functools import wraps
from itertools import islice
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Concatenate, Generic, NoReturn, ParamSpec, TypeAlias, TypeVar, overload

from qwen_widgets.core.errors import ArgumentError, InputError, QwenError, clean
from qwen_widgets.core.syntax_faults import MANY, shown

_P = ParamSpec("_P")
_T = TypeVar("_T")
_S = TypeVar("_S", bound=str)
#: ``(name, value)``: returns the plain value, or raises InputError with the argument's name.
Reader: TypeAlias = Callable[[str, object], _T]
#: Half of a pair that stands for one character: it can't be written as UTF-8.
HALF = re.compile("[\ud800-\udfff]")
#: US dollars; nobody means more.
_MOST_DOLLARS = 1e9
_LONGEST_TITLE = 1000
#: As long as threading can wait.
_MOST_SECONDS = 1e6
_SCALARS: tuple[type, ...] = (bool, int, float, type(None))
_BYTES = (bytes, bytearray, memoryview)


def wrong(name: str, value: object, wanted: str) -> InputError:
    """Return the error of an argument: its name, what was given, and what to give in its place.

    Parameters
    ----------
    wanted : str
        The end of the sentence: ``give a whole number from 1 to 64``.
    """
    if issubclass(type(value), str) or type(value) in _SCALARS:
        return InputError(f"{name} {_written(value)}: {wanted}.")
    kind = type_name(value)
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    return InputError(f"{name}: {article} {kind} was given; {wanted}.")


def type_name(value: object) -> str:
    """Return the name of a value's type, fit for a message."""
    # Even the name of a type can be made to raise.
    with suppress(Exception):
        return clean(type(value).__name__, longest=40) or "object"
    return "object"


def _written(value: object) -> str:
    """Write a text or a number for a message; nothing of the value's own is called."""
    if isinstance(value, str):
        return shown(str.__str__(value))
    if isinstance(value, int) and abs(value) > MANY:
        return f"of about {max(15, math.floor(value.bit_length() * math.log10(2)))} digits"
    return repr(value)


def guarded(
    read: Callable[Concatenate[str, object, _P], _T],
) -> Callable[Concatenate[str, object, _P], _T]:
    """Make a reader's faults sentences: what a foreign object raises while it is read is no error of ours."""

    @wraps(read)
    def reader(name: str, value: object, /, *args: _P.args, **options: _P.kwargs) -> _T:
        try:
            return read(name, value, *args, **options)
        except QwenError:
            raise
        except Exception:  # noqa: BLE001, S110  (any object may raise anything)
            pass
        raise wrong(name, value, "it can't be read; give plain values of Python")

    return reader


# --- single values ----------------------------------------------------------------------------------------


@guarded
def text(name: str, value: object, wanted: str = "give a text", *, longest: int | None = None) -> str:
    """Read a text, of at most so many characters."""
    if isinstance(value, _BYTES):
        raise wrong(name, value, f"{wanted}, such as data.decode()")
    if not isinstance(value, str):
        raise wrong(name, value, wanted)
    plain = str.__str__(value)
    if half := HALF.search(plain):
        code = f"U+{ord(half[0]):04X}"
        raise InputError(f"{name}: character {half.start() + 1} is half of a pair ({code}); remove it.")
    if longest is not None and len(plain) > longest:
        raise InputError(f"{name}: it has {len(plain):,} characters, and at most {longest:,} are taken.")
    return plain


def title(name: str, value: object) -> str:
    """Read a heading, which is one line; None is none."""
    if value is None:
        return ""
    return " ".join(text(name, value, longest=_LONGEST_TITLE).split())


@guarded
def choice(name: str, value: object, choices: Collection[_S]) -> _S:
    """Read one of some words."""
    wanted = f"it is {', '.join(filter(None, choices))}{' or empty' if '' in choices else ''}"
    plain = text(name, value, wanted)
    for one in choices:
        if one == plain:
            return one
    raise wrong(name, plain, wanted)


@guarded
def flag(name: str, value: object) -> bool:
    """Read True or False; None is what nobody has given."""
    value = _plain(value)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise wrong(name, value, "give True or False")
    return value


@guarded
def whole(name: str, value: object, *, least: int, most: int, wanted: str = "") -> int:
    """Read a whole number: an int, or what is equal to one (3.0, numpy's)."""
    wanted = wanted or f"give a whole number from {least} to {most}"
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise wrong(name, value, wanted)
    exact: Any = operator.index(value) if isinstance(value, Integral) else value
    # The range first: an int of 1e999999 would have a million digits.
    if not least <= exact <= most or exact != int(exact):
        raise wrong(name, exact, wanted)
    return int(exact)


@guarded
def number(name: str, value: object, wanted: str, *, least: float, most: float) -> float:
    """Read a number within bounds, neither of which it can leave by being infinite or not a number."""
    value = _plain(value)
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise wrong(name, value, wanted)
    exact: Any = operator.index(value) if isinstance(value, Integral) else value
    if not least <= exact <= most:
        raise wrong(name, exact, wanted)
    return float(exact)


def dollars(name: str, value: object) -> float:
    """Read an amount of money, US dollars: nothing or more."""
    wanted = "it is a number of US dollars, such as 2.50"
    return number(name, value, wanted, least=0, most=_MOST_DOLLARS)


@guarded
def path(name: str, value: object) -> Path:
    """Read the path of a file or a folder."""
    wanted = "give a path, as a text or a Path"
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise wrong(name, value, wanted)
    plain = str.__str__(value)
    if not plain.strip():
        raise wrong(name, plain, f"it is empty; {wanted}")
    if "\0" in plain:
        raise wrong(name, plain, "that can't be the name of a file")
    return Path(plain)


@guarded
def scalar(name: str, value: object) -> str | int | float | bool:
    """Read a text, a number, or True or False."""
    value = _plain(value)
    if isinstance(value, str):
        return text(name, value)
    if isinstance(value, Integral):
        return value if isinstance(value, bool) else operator.index(value)
    if isinstance(value, Real | Decimal):
        return float(value)
    raise wrong(name, value, "give a text, a number, or true or false")


@guarded
def instance(name: str, value: object, kind: type[_T], wanted: str) -> _T:
    """Read an object of a class of this package."""
    if not issubclass(type(value), kind):
        raise wrong(name, value, wanted)
    assert isinstance(value, kind)
    return value


# --- several values ---------------------------------------------------------------------------------------


@guarded
def items(name: str, value: object, wanted: str, *, most: int) -> list[Any]:
    """Read a list of at most so many: a list, a tuple, a range, an array, a Series, a generator.

    The entries are as they were given, but for those of an array, which are Python's own.
    """
    if isinstance(value, str | bytes | bytearray | memoryview):
        raise wrong(name, value, wanted)
    if isinstance(value, Mapping):
        raise wrong(name, value, "give its values: list(d.values())")
    if _is_table(value):
        column = "prompt" if name.startswith("prompt") else name
        raise wrong(name, value, f'give one column of it, such as df["{column}"]')
    if hasattr(value, "tolist"):
        # The length first: the list of a large array takes long to build.
        if len(value) > most:  # type: ignore[arg-type]
            raise _too_many(name, most)
        value = value.tolist()
    if not isinstance(value, Iterable):
        raise wrong(name, value, wanted)
    found = list(islice(value, most + 1))
    if len(found) > most:
        raise _too_many(name, most)
    return found


@guarded
def texts(name: str, value: object, wanted: str, *, most: int) -> list[str]:
    """Read a text or a list of texts."""
    if isinstance(value, str):
        return [text(name, value)]
    found = items(name, value, wanted, most=most)
    if not found:
        raise InputError(f"{name}: {wanted}.")
    hint = "; .dropna().astype(str) makes texts of a Series" if hasattr(value, "dropna") else ""
    label = f"{name}: entry {{}}"
    return [text(label.format(at), one, f"each is a text{hint}") for at, one in enumerate(found, 1)]


@guarded
def mapping(name: str, value: object, wanted: str) -> dict[str, Any]:
    """Read values by name."""
    if not isinstance(value, Mapping):
        raise wrong(name, value, wanted)
    found = dict(value)
    return {text(f"{name}: a name", key): one for key, one in found.items()}


def _too_many(name: str, most: int) -> InputError:
    return InputError(f"{name}: more than {most:,} were given; ask for fewer.")


def _is_table(value: object) -> bool:
    """Whether a value is a table of whatever library: iterated, it would give the names of its columns."""
    return any(kind.__name__ == "DataFrame" for kind in type(value).__mro__)


def _plain(value: object) -> Any:
    """Return Python's own value of one that a library of numbers holds, or of its array without dimensions."""
    if isinstance(value, bool | int | float | str | Decimal) or not hasattr(value, "tolist"):
        return float(value) if type(value) is not float and isinstance(value, float) else value
    return value.tolist() if getattr(value, "ndim", None) == 0 else value


# --- arguments by name ------------------------------------------------------------------------------------


def unknown_argument(function: str, name: str, known: Collection[str]) -> NoReturn:
    """Raise ArgumentError with a hint for a keyword that a function doesn't have."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}."
    raise ArgumentError(f"{function}() has no argument {clean(name, longest=40)!r}; {hint}")


class Checked(Generic[_T]):
    """An attribute that can be set: whatever is given is read first, so that it holds what it should.

    Parameters
    ----------
    read : callable
        ``(name, value)``: one of the readers.
    """

    def __init__(self, read: Reader[_T]) -> None:
        self._read = read

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, holder: None, owner: type) -> Checked[_T]: ...
    @overload
    def __get__(self, holder: object, owner: type) -> _T: ...
    def __get__(self, holder: object | None, owner: type) -> Checked[_T] | _T:
        """Return the value."""
        if holder is None:
            return self
        found: _T = vars(holder)[self._name]
        return found

    def __set__(self, holder: object, value: object) -> None:
        """Read the value, and hold it."""
        vars(holder)[self._name] = self._read(self._name, value)


def taking(**readers: Reader[object]) -> Callable[[Callable[_P, _T]], Callable[_P, _T]]:
    """Have a function's arguments read before it is called; what they are by default is as it is."""

    def checked(work: Callable[_P, _T]) -> Callable[_P, _T]:
        signature = inspect.signature(work)

        @wraps(work)
        def call(*args: _P.args, **options: _P.kwargs) -> _T:
            try:
                given = signature.bind(*args, **options)
            except TypeError:
                # Python's own words for a wrong number of arguments.
                return work(*args, **options)
            for name, read in readers.items():
                if name in given.arguments:
                    given.arguments[name] = read(name, given.arguments[name])
            return work(*given.args, **given.kwargs)

        return call

    return checked


def of(kind: type[_T]) -> Reader[_T]:
    """Return a reader of what the parts of the package hand to each other: a grid, a sweep, a run."""
    return lambda name, value: instance(name, value, kind, f"it takes a {kind.__name__}")


def bounded(least: int, most: int) -> Reader[int]:
    """Return a reader of a whole number."""
    return lambda name, value: whole(name, value, least=least, most=most)


def seconds(name: str, value: object) -> float:
    """Read a time to wait."""
    return number(name, value, "give seconds", least=0, most=_MOST_SECONDS)


def maybe(read: Reader[_T]) -> Reader[_T | None]:
    """Return a reader that takes None, too."""
    return lambda name, value: None if value is None else read(name, value)
