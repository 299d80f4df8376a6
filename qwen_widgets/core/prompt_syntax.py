r"""The braces of a prompt, ``{a|b}`` and ``{{name}}``: read, counted, expanded."""

from __future__ import annotations

import difflib
import itertools
import math
import numbers
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.reading import type_name
from qwen_widgets.core.syntax_faults import MANY, amount, fault, to_number

_LONGEST_GROUP = 10_000  # characters that one group may grow to: a long joiner repeats itself
_DEEPEST = 32  # groups inside one another; expanding is recursive
_BLANKS = re.compile(r"[ \t\r\n]+")
_TOKEN = re.compile(r"\\([\\{}|])|[{}|]|[^\\{}|]+|\\")
_VARIABLE = re.compile(r"\{\{([^\\{}|]*)\}\}")
_PLACEHOLDER = re.compile(r"\0([^\0]+)\0")


@dataclass(frozen=True, slots=True)
class Group:
    """``{a|b}``: its options, each once; with `pick`, so many of them at a time, joined by `joiner`."""

    options: tuple[Parts, ...]
    pick: int | None
    joiner: str
    count: int = field(compare=False)
    length: int = field(compare=False)
    depth: int = field(compare=False)


#: Text and groups in turn, text first and last.
Parts: TypeAlias = "tuple[str | Group, ...]"


def collapse(text: str) -> str:
    """Make every run of ASCII blanks one blank and strip them from the ends."""
    return _BLANKS.sub(" ", text).strip(" ")


def parse_braces(text: str, variables: Mapping[str, object] | None, values: dict[str, str]) -> Parts:
    """Read the braces of one prompt.

    Parameters
    ----------
    text : str
        The prompt; without NUL characters where there are variables.
    variables : mapping or None
        What ``{{name}}`` stands for; None leaves it as it is.
    values : dict
        Gets the text of every variable that is used. The prompt itself holds placeholders for
        them up to `filled`, so that nothing in a value is taken for syntax.

    Raises
    ------
    InputError
        An unknown or unusable variable, or a group that can't be expanded.
    """
    # Flat and without recursion: an open brace is text until its partner turns up, and nothing is
    # copied for braces without a bar, so 100,000 of them cost no more than other characters.
    parts: list[str | Group] = []
    opened: list[tuple[int, int, list[int]]] = []
    at = 0
    while at < len(text):
        if variables is not None and (name := _VARIABLE.match(text, at)):
            parts.append(_insert(text, name, variables, values))
            at = name.end()
            continue
        token = _TOKEN.match(text, at)
        assert token, "every character is a token"
        at = token.end()
        if token[0] == "{":
            opened.append((token.start(), len(parts), []))
        elif token[0] == "|" and opened:
            opened[-1][2].append(len(parts))
        elif token[0] == "}" and opened:
            start, first, bars = opened.pop()
            if bars:
                edges = itertools.pairwise([first, *bars, len(parts)])
                options = [_merged(parts[left + 1 : right]) for left, right in edges]
                parts[first:] = [_group(text, (start, at), options)]
                continue
        parts.append(token[1] or token[0])
    return _merged(parts)


def _insert(text: str, found: re.Match[str], variables: Mapping[str, object], values: dict[str, str]) -> str:
    def wrong(problem: str) -> InputError:
        return fault("prompt", text, found.span(), problem)

    name = found[1].strip()
    if not name.isidentifier():
        raise wrong("is not a plain name; assign the value to one first")
    if name not in variables:
        names = [known for known in variables if isinstance(known, str) and not known.startswith("_")]
        near = difflib.get_close_matches(name, names, n=3) if len(name) <= 60 else []
        hint = f"; the nearest there is: {', '.join(near)}" if near else "; assign it first"
        raise wrong(f"names no variable{hint}")
    value = variables[name]
    try:
        words = _words(value)
    except ValueError:  # an int of more than 4,300 digits
        raise wrong("is too large a number to be written out") from None
    except Exception:  # noqa: BLE001  (any object may raise anything)
        words = None
    if words is None:
        raise wrong(f"is of type {type_name(value)}; use a text or a number")
    values[name] = words
    return f"\0{name}\0"


def _words(value: object) -> str | None:
    """Return a text, or a number as it is written; None for anything else."""
    if isinstance(value, str):
        return str.__str__(value)
    # numbers.Real takes numpy's numbers in, and bool, which is rather a mistake than a word.
    is_number = isinstance(value, numbers.Real | Decimal) and not isinstance(value, bool)
    return str(value) if is_number else None


def _merged(parts: Iterable[str | Group]) -> Parts:
    merged: list[str | Group] = []
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
        else:
            merged += ["".join(texts), part]
            texts.clear()
    return (*merged, "".join(texts))


def _group(text: str, span: tuple[int, int], options: list[Parts]) -> str | Group:
    def wrong(problem: str) -> InputError:
        return fault("prompt", text, span, problem)

    pick, joiner = None, ""
    head, found, rest = str(options[0][0]).partition("$$")
    if found and re.fullmatch(r" *[0-9]+ *", head):
        pick, joiner = to_number(head.strip()), ", "
        before, found, after = rest.partition("$$")
        if found:
            joiner, rest = before, after
        options = [_stripped(option) for option in [(rest, *options[0][1:]), *options[1:]]]
    different = tuple(dict.fromkeys(options))
    if pick is not None and not 1 <= pick <= len(different):
        raise wrong(f"asks for {amount(pick)} of {len(different)} different options")

    counts = [count_variants(option) for option in different]
    lengths = sorted(map(_length, different))
    depths = [part.depth for option in different for part in option if isinstance(part, Group)]
    group = Group(
        different,
        pick,
        joiner,
        count=min(sum(counts), MANY) if pick is None else _combinations(counts, pick),
        length=lengths[-1] if pick is None else sum(lengths[-pick:]) + len(joiner) * (pick - 1),
        depth=1 + max(depths, default=0),
    )
    if group.length > _LONGEST_GROUP:
        raise wrong(f"makes up to {group.length:,} characters, and at most {_LONGEST_GROUP:,} are made")
    if group.depth > _DEEPEST:
        raise wrong(f"is nested deeper than {_DEEPEST} groups")
    # A group of one variant is text: what is left has two at least, so few of them fit under the cap.
    return group if group.count > 1 else next(_choices(group))


def _stripped(option: Parts) -> Parts:
    # The joiner brings the blanks: {2$$ a | b } is "a, b".
    first, *rest = option
    if not rest:
        return (str(first).strip(" "),)
    return (str(first).lstrip(" "), *rest[:-1], str(rest[-1]).rstrip(" "))


def _length(parts: Parts) -> int:
    return sum(len(part) if isinstance(part, str) else part.length for part in parts)


def filled(text: str, values: Mapping[str, str]) -> str:
    """Put the variables' values in the place of their placeholders."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def count_variants(parts: Parts) -> int:
    """Count the texts that `expanded` would make, up to `MANY`."""
    count = 1
    for part in parts:
        if isinstance(part, Group):
            count = min(count * part.count, MANY)
    return count


def _combinations(counts: list[int], pick: int) -> int:
    """Count the ways to pick so many options, where each option has variants of its own."""
    several = [count for count in counts if count > 1]
    single = len(counts) - len(several)
    most = min(pick, len(several))
    if most > 50:  # 2**50 is more than MANY
        return MANY
    ways = [1] + [0] * most  # ways[k]: to pick k of those with several variants
    for count in several:
        for taken in range(most, 0, -1):
            ways[taken] = min(ways[taken] + ways[taken - 1] * count, MANY)
    return min(sum(way * _comb(single, pick - taken) for taken, way in enumerate(ways)), MANY)


def _comb(total: int, pick: int) -> int:
    # Over 50 on both sides it is more than 2**50, and math.comb would make thousands of digits.
    return math.comb(total, pick) if min(pick, total - pick) <= 50 else MANY


def expanded(parts: Parts) -> Iterator[str]:
    """Make the texts, the first group slowest; count them first."""
    choices = [(part,) if isinstance(part, str) else tuple(_choices(part)) for part in parts]
    return map("".join, itertools.product(*choices))


def _choices(group: Group) -> Iterator[str]:
    if group.pick is None:
        return itertools.chain.from_iterable(map(expanded, group.options))
    variants = [tuple(text.strip(" ") for text in expanded(option)) for option in group.options]
    picked = itertools.combinations(variants, group.pick)
    return (group.joiner.join(chosen) for some in picked for chosen in itertools.product(*some))
