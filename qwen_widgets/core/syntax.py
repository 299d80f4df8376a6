r"""What people type: seeds ``1-4, random*2``, sizes ``16:9``, prompts ``{a|b}``; text in, values out, no I/O.

How many values a text stands for is known before the first one is built, and every fault is an
`InputError` of one sentence that shows the text and the place (characters are counted from 1).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from qwen_widgets.core.errors import InputError
from qwen_widgets.core.list_syntax import (
    DEFAULT_CAP,
    Seeds,
    Sizes,
    draw_seed,
    parse_seeds,
    parse_sizes,
    read_seeds,
    read_sizes,
    repeated_note,
    size_for_ratio,
)
from qwen_widgets.core.models import DEFAULT_MODEL, Model, Size
from qwen_widgets.core.prompt_syntax import collapse, count_variants, expanded, filled, parse_braces
from qwen_widgets.core.request import check_prompt
from qwen_widgets.core.syntax_faults import amount, check_length, fault, shown

__all__ = [
    "DEFAULT_CAP",
    "PromptText",
    "Prompts",
    "Seeds",
    "Sizes",
    "draw_seed",
    "expand_prompt",
    "parse_prompts",
    "parse_seeds",
    "parse_sizes",
    "size_for_ratio",
]

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")
_FLAGS = {"--ar": "size", "--ratio": "size", "--size": "size", "--seed": "seeds", "--seeds": "seeds"}


@dataclass(frozen=True, slots=True)
class PromptText:
    """One prompt as it is sent, and what the flags at its end ask for.

    Attributes
    ----------
    text : str
        The prompt without its flags.
    size : Size or None
        The size of ``--ar``, pixels, for the model that the prompt was read for.
    seeds : tuple of int or None
        The seeds of ``--seed``.
    size_asked : str
        What ``--ar`` said: a ratio is another size for another model. Empty without it.
    """

    text: str
    size: Size | None = None
    seeds: tuple[int, ...] | None = None
    size_asked: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Prompts:
    """The prompts of a cell, each once, in the order of the cell; `notes` are sentences for the user."""

    values: tuple[PromptText, ...]
    notes: tuple[str, ...] = ()


def parse_prompts(
    text: str,
    *,
    lines: bool = False,
    variables: Mapping[str, object] | None = None,
    cap: int = DEFAULT_CAP,
    model: Model = DEFAULT_MODEL,
    draw: Callable[[], int] = draw_seed,
) -> Prompts:
    """Read the prompts of a cell.

    A blank line starts the next prompt, line breaks within one are blanks, runs of blanks (ASCII ones) are
    one blank. A line ``# …`` or a lone ``#`` is a comment and ends nothing. Braces are those of
    `expand_prompt`. After they are expanded, ``--ar`` (``--ratio``, ``--size``) and ``--seed`` (``--seeds``),
    each with its value or ``=value``, are taken from the end of a prompt; any other flag is text, and so
    is what stands before it.

    Parameters
    ----------
    text : str
        The cell below its first line.
    lines : bool
        Whether every line is a prompt.
    variables : mapping, optional
        What ``{{name}}`` stands for: texts and numbers, inserted as data, so that braces, flags and
        comments in a value mean nothing; its blanks collapse with the others. The value of a flag may
        be a ``{{name}}``. Without variables ``{{name}}`` stays as it is.
    cap : int
        How many prompts the cell may stand for, and how many seeds their flags may ask for together.
    model : Model
        Gives the limits of a prompt and of a size.
    draw : callable
        Gives one random seed.

    Returns
    -------
    Prompts
        Each once, in the order of the cell; the first group of a prompt changes slowest.

    Raises
    ------
    InputError
        Nothing to read, a prompt that the model does not take, a bad value of a flag, an unknown
        variable, or more prompts than `cap`.
    """
    check_length("prompts", text)
    values: dict[str, str] = {}
    templates = []
    total = 0
    for paragraph in _paragraphs(text, lines=lines):
        parts = parse_braces(paragraph, variables, values)
        templates.append((count_variants(parts), paragraph, parts))
        total += templates[-1][0]
    if not templates:
        what = "holds only comments" if text.strip() else "is empty"
        raise InputError(f"the cell {what}; write a prompt below the first line.")
    if total > cap:
        count, paragraph, _ = max(templates, key=lambda template: template[0])
        raise InputError(
            f"prompts {shown(paragraph)}: this one makes {amount(count)} of {amount(total)} prompts, "
            f"and the cap is {cap:,}; take options out or raise the cap."
        )

    prompts: dict[PromptText, None] = {}
    notes: list[str] = []
    repeated = []
    seeds = 0
    for _, _, parts in templates:
        for variant in expanded(parts):
            prompt, remarks = _finished(collapse(variant), values, cap=cap, model=model, draw=draw)
            notes += remarks
            check_prompt(prompt.text, model)
            seeds += len(prompt.seeds or ())
            if seeds > cap:
                raise InputError(
                    f"prompts {shown(prompt.text)}: its --seed makes it {seeds:,} seeds, "
                    f"and the cap is {cap:,}."
                )
            if prompt in prompts:
                repeated.append(shown(prompt.text))
            prompts[prompt] = None
    return Prompts(tuple(prompts), (*dict.fromkeys(notes), *repeated_note("prompt", repeated)))


def expand_prompt(text: str, *, cap: int = DEFAULT_CAP) -> tuple[str, ...]:
    r"""Expand the braces of one prompt; nothing else in it has a meaning.

    Only braces that hold an unescaped ``|`` mean something. ``{a|b}`` is one of its options, options
    of equal text count once; ``{2$$a|b|c}`` is two of them at a time in their order, stripped and joined
    by ``, `` or by what stands in ``{2$$ and $$a|b|c}`` (options with groups of their own count as one option
    each). Where the text before ``$$`` is not a count, it is text. A ``{`` that is never closed and a ``}``
    that was never opened stay. ``\{ \} \| \\`` are the characters themselves, any other backslash is a
    backslash.

    Parameters
    ----------
    text : str
        One prompt.
    cap : int
        How many prompts it may stand for.

    Returns
    -------
    tuple of str
        Each once, stripped, runs of blanks collapsed; the first group changes slowest.

    Raises
    ------
    InputError
        More prompts than `cap`, more options asked for than there are, or groups nested deeper than 32.
    """
    check_length("prompt", text)
    parts = parse_braces(collapse(text), None, {})
    if (count := count_variants(parts)) > cap:
        raise InputError(
            f"prompt {shown(text)}: it makes {amount(count)} prompts, and the cap is {cap:,}; take options out."
        )
    return tuple(dict.fromkeys(map(collapse, expanded(parts))))


def _paragraphs(text: str, *, lines: bool) -> Iterator[str]:
    held: list[str] = []
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), ""]:
        if line == "#" or line.startswith(("# ", "#\t")):
            continue
        if found := _CONTROL.search(line):
            code = f"U+{ord(found[0]):04X}"
            raise fault("prompt", line, found.span(), f"is a control character ({code}); remove it")
        # A line that looks blank is blank, whatever its blanks are.
        blank = not line.strip()
        if not blank:
            held.append(line)
        if held and (lines or blank):
            yield collapse(" ".join(held))
            held.clear()


def _finished(
    variant: str, values: Mapping[str, str], *, cap: int, model: Model, draw: Callable[[], int]
) -> tuple[PromptText, list[str]]:
    """Take the flags from the end of an expanded prompt and put the variables' values in."""
    words = variant.split(" ")
    flags: dict[str, tuple[str, str]] = {}
    while words:
        taken = 1
        flag, _, value = words[-1].partition("=")
        if flag.lower() not in _FLAGS and len(words) > 1:
            flag, value, taken = words[-2], words[-1], 2
        if (kind := _FLAGS.get(flag.lower())) is None:
            break
        if not value:
            raise InputError(f"prompt {shown(filled(variant, values))}: {flag} needs a value behind it.")
        if kind in flags:
            raise InputError(
                f"prompt {shown(filled(variant, values))}: write only one of {flag} and {flags[kind][0]}."
            )
        flags[kind] = flag, filled(value, values)
        del words[-taken:]
    notes = [f"{word} is not at the end of its prompt, so it is text." for word in words if word in _FLAGS]

    size, seeds = None, None
    if "size" in flags:
        sizes = read_sizes(*flags["size"], model)
        if len(sizes.values) != 1:
            flag, value = flags["size"]
            raise InputError(f"{flag} {shown(value)}: a prompt takes one size.")
        size = sizes.values[0]
        notes += sizes.notes
    if "seeds" in flags:
        given = read_seeds(*flags["seeds"], cap, draw)
        seeds = given.values
        notes += given.notes
    asked = flags["size"][1] if "size" in flags else ""
    return PromptText(collapse(filled(" ".join(words), values)), size, seeds, asked), notes
